"""One grammar for the filters of runs and of samples and for breakpoints: read, and asked of one row after another."""
