"""Deletes a run, but never a live one.

The run's lock is taken, so nobody can resume the run. Then the folder is renamed, which makes the run disappear at
once. Files that a killed deletion leaves, or that cannot be removed, are removed by the next one.
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
from looptop.engine.runs.origins import forget_origin, is_made_here
from looptop.engine.text import visible


def delete(folder: RunFolder) -> None:
    """Deletes the run.

    Raises:
        LooptopError: The run is live, here or on another host, this process may not write, or the folder cannot be
            renamed: then nothing has changed. Or some of its files could not be removed.
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
        # Nobody can hold a lock on such a file. It is removed, so that the run can be deleted.
        with contextlib.suppress(OSError):
            folder.lock.unlink()
    try:
        lock = RunLock(folder.lock, folder.id).acquire(heartbeat=False)
    except LooptopError as error:
        if not folder.is_live():
            raise LooptopError(f"{folder.id} cannot be deleted: {error}") from None
        raise LooptopError(f"{folder.id} is live; stop it first: looptop stop {folder.shell_name}") from None
    made_here = is_made_here(folder.path)
    doomed = folder.path.with_name(f".deleting-{folder.id}-{secrets.token_hex(4)}")
    try:
        folder.path.rename(doomed)
    except OSError as error:
        raise LooptopError(f"cannot delete {visible(folder.path)}: {error.strerror}") from None
    finally:
        lock.release()
    if made_here:
        forget_origin(folder.path)
    _remove(doomed)
    if os.path.lexists(doomed):
        raise LooptopError(f"{folder.id} is deleted, but some of its files could not be removed: {visible(doomed)}")


def size_of(folder: RunFolder) -> int:
    """The sizes of the run's files together, in bytes."""
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
