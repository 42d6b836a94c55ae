"""Says where the disk of a run is full: then what the run has to say waits in its memory, and looks like silence."""

from __future__ import annotations

import shutil
from pathlib import Path

from looptop.engine.text import visible

LITTLE = 2**20
"""Bytes of free disk below which nobody can write much."""


def full_disk(folder: Path) -> str:
    """`the disk of FOLDER is full (12 KiB free)`, or nothing where it is not."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return ""
    return "" if free >= LITTLE else f"the disk of {visible(folder)} is full ({free // 1024:,} KiB free)"
