"""The terminal: output, keys, and how the app leaves it."""
