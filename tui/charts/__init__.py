"""The charts of a run, or of several."""
