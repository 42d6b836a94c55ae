"""Replaces files at once, and removes the oldest of a folder's files beyond a size."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from looptop.engine.files.private import refuse_unsafe_folder, write_private

DRAFT_SUFFIX = ".draft"


def replace_private(path: Path, data: bytes, *, make_folder: bool = True) -> None:
    """Writes a file of mode 0600 beside and renames it, so that readers see the old content or all of the new.

    Args:
        path: The file.
        data: The whole content.
        make_folder: Make the folder, with mode 0700, if it is missing.

    Raises:
        UnsafeFileError: The folder is a link, or belongs to another user.
        OSError: It cannot be written.
    """
    replace_private_with(path, lambda draft: write_private(draft, data), make_folder=make_folder)


def replace_private_with(path: Path, write: Callable[[Path], object], *, make_folder: bool = True) -> None:
    """As `replace_private`, with a function that writes the file of this name."""
    refuse_unsafe_folder(path.parent)
    if make_folder:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}{DRAFT_SUFFIX}")
    try:
        write_private(draft, b"")
        write(draft)
        draft.rename(path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def remove_oldest(folder: Path, most_bytes: int) -> None:
    """Removes the files below a folder that were used longest ago, until the others have at most this many bytes.

    A file that cannot be removed stays. Links are neither followed nor counted.
    """
    files = []
    for below, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                path = Path(below, name)
                facts = path.lstat()
                files.append((facts.st_mtime_ns, facts.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= most_bytes:
            return
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size
