"""Private files, and locks. Nothing here knows about runs."""
