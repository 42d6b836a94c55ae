"""Paths as people type them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def path_of(name: str | os.PathLike[str]) -> Path:
    """The path with `~` expanded; `~name` is left unchanged if there is no such user."""
    with contextlib.suppress(RuntimeError):
        return Path(name).expanduser()
    return Path(name)
