"""The name of a split on the command line. Imports no data library, so that it is read at once."""

from __future__ import annotations

SPLITS = ("train", "validation", "test")
"""The names of splits."""


def source_and_split(name: str) -> tuple[str, str]:
    """The source and the split that `SOURCE:SPLIT`, `SOURCE` or `:SPLIT` names; what is not named is empty."""
    source, colon, split = name.rpartition(":")
    return (source, split) if colon and split in SPLITS else (name, "")
