"""Starts runs: checks what a run is started with, and holds the process and the thread it runs in."""
