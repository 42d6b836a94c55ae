"""Replaces files at once, and removes the oldest of a folder's files beyond a size.

The new content is written to a draft beside the file. A process that is killed leaves its draft behind; it is removed
when the same file is replaced next, when its run is started or resumed, or by `remove_oldest`. The writer holds a lock
on the draft, which the kernel releases when the process ends, so no draft of a living process is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from looptop.engine.files.private import open_regular, refuse_unsafe_folder, write_private

DRAFT_SUFFIX = ".draft"
_DRAFT = re.compile(rf"(.+)\.[0-9a-f]{{8}}{re.escape(DRAFT_SUFFIX)}", re.DOTALL)

OLD_DRAFT_SECONDS = 3600.0
"""A draft that changed more recently is kept, even if no lock on it is seen: not every network file system has them."""


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
    descriptor = open_regular(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_old_drafts(path.parent, path.name)
        write(draft)
        draft.rename(path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        os.close(descriptor)


def remove_old_drafts(folder: Path, name: str = "") -> None:
    """Removes the drafts that killed processes left in a folder. One that cannot be removed stays.

    Args:
        folder: The folder; what is in folders below it stays.
        name: Only drafts of the file with this name; without it, of all files.
    """
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            match = _DRAFT.fullmatch(path.name)
            if match is not None and name in ("", match[1]):
                with contextlib.suppress(OSError):
                    _remove_if_old(path)


def _remove_if_old(draft: Path) -> None:
    if time.time() - draft.lstat().st_mtime < OLD_DRAFT_SECONDS:
        return
    descriptor = open_regular(draft, os.O_WRONLY)  # An exclusive lock over NFS needs a file opened for writing.
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # Raises BlockingIOError while its writer lives.
        draft.unlink()
    finally:
        os.close(descriptor)


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
