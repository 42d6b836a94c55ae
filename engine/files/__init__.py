"""Files that only their owner writes, and locks. Knows nothing of runs."""
