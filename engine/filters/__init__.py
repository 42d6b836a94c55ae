"""One grammar for the filters of runs and samples and for breakpoints: parses them, and evaluates them row by row."""
