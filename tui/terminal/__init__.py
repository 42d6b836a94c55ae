"""The terminal: output, keys, and how the app releases it."""
