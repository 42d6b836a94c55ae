"""Paths as people write them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def path_of(name: str | os.PathLike[str]) -> Path:
    """The path that a name means; `~somebody` stays as it is where nobody is called so."""
    with contextlib.suppress(RuntimeError):
        return Path(name).expanduser()
    return Path(name)
