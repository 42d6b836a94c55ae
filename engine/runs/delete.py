"""Deletes a run completely or not at all, and never a live one.

The run's lock is taken first, so nobody can resume the run. Then the folder is renamed, which makes the run
disappear. What a killed deletion leaves behind is removed by the next one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from looptop.engine.errors import LooptopError
from looptop.engine.files.lock import RunLock
from looptop.engine.files.private import UnsafeFileError, refuse_if_read_only, refuse_unsafe
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.origins import forget_origin
from looptop.engine.text import visible


def delete(folder: RunFolder) -> None:
    """Deletes the run.

    Raises:
        LooptopError: The run is live, here or on another host, or its folder cannot be removed.
    """
    refuse_if_read_only()
    _finish_earlier(folder.path.parent)
    if folder.live_by() == "heartbeat":
        owner = folder.owner()
        where = visible(owner.host) if owner else "another host"
        raise LooptopError(f"{folder.id} is running on {where}; stop it there before it is deleted")
    try:
        refuse_unsafe(folder.lock)
    except UnsafeFileError:
        # Nobody can hold such a lock, and the run must not be impossible to delete.
        with contextlib.suppress(OSError):
            folder.lock.unlink()
    try:
        lock = RunLock(folder.lock, folder.id).acquire(heartbeat=False)
    except LooptopError as error:
        if not folder.is_live():
            raise LooptopError(f"{folder.id} cannot be deleted: {error}") from None
        raise LooptopError(f"{folder.id} is live; stop it first: looptop stop {folder.shell_name}") from None
    forget_origin(folder.path)
    doomed = folder.path.with_name(f".deleting-{folder.id}-{secrets.token_hex(4)}")
    try:
        folder.path.rename(doomed)
    except OSError as error:
        raise LooptopError(f"cannot delete {visible(folder.path)}: {error.strerror}") from None
    finally:
        lock.release()
    _remove(doomed)
    if os.path.lexists(doomed):
        raise LooptopError(f"{folder.id} is deleted, but some of its files could not be removed: {visible(doomed)}")


def size_of(folder: RunFolder) -> int:
    """The size of the run on the disk, in bytes."""
    total = 0
    for path in folder.path.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_size
    return total


def _finish_earlier(runs: Path) -> None:
    for left in runs.glob(".deleting-*"):
        _remove(left)


def _remove(folder: Path) -> None:
    """Removes a folder; of a link, only the link itself."""
    if folder.is_symlink():
        with contextlib.suppress(OSError):
            folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
