"""Runs: their folder, journal, lock, controls, and the thread and process that train."""
