"""Every chart of the app."""
