"""A run's journal: its records, its SQLite schema, one writer, any number of readers."""
