"""The terminal: what goes to it, what comes from it, and how the app lets go of it."""
