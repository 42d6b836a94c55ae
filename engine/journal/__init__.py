"""The journal of a run, a SQLite file: records, schema, one writer, any number of readers."""
