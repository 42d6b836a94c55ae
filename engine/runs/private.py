"""Writes files that nobody else may read, whatever the umask."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Writes a file of mode 0600, over what was there.

    Args:
        path: The file.
        data: All of it.
        sync: Return when it is on the disk.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        if sync:
            file.flush()
            os.fsync(descriptor)


def touch_private(path: Path) -> None:
    """Makes sure that a file is there, with mode 0600."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
