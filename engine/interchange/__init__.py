"""Exports runs to files of other programs, and imports runs from them: CSV, JSON lines, Parquet, TensorBoard, W&B."""
