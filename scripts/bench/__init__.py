"""Benchmarks (`make bench`): each figure is a ratio to a named peer that is measured in the same run."""
