"""Runs to and from other programs' files: CSV, Parquet, TensorBoard's event files, W&B's offline folders."""
