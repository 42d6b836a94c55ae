"""Checkpoints are complete if they have a valid manifest of their files, which is written last.

Trainer writes directly into `checkpoint-N`. A folder without a valid manifest is incomplete: the process was killed,
the disk was full, or only a part was copied. It is skipped with an event and never deleted silently. If a new
checkpoint needs its name, it is moved aside; the last folder that was moved aside is kept.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from looptop.engine.errors import UNREADABLE, LooptopError
from looptop.engine.files.private import open_regular, read_regular, refuse_unsafe_folder, write_private
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.text import visible

MANIFEST = "manifest.json"

# Free space that other writers (the journal, the log) need besides a checkpoint.
_RESERVE = 16 * 2**20
_BLOCK = 2**20


class NoRoomError(LooptopError):
    """The disk has no room for a checkpoint."""


class Manifest(Struct, frozen=True):
    """The files of a complete checkpoint."""

    files: dict[str, int]
    """Path within the folder -> size in bytes."""
    checksums: dict[str, int] = {}
    """Path within the folder -> CRC-32 of the file; empty in checkpoints of older versions."""


def begin(path: Path, journal: JournalWriter | None = None) -> None:
    """Prepares a folder for a new checkpoint: an incomplete one is moved aside, a complete one loses its manifest.

    Args:
        path: The `checkpoint-N` folder, which need not exist yet.
        journal: Receives an event if a folder is moved.
    """
    if not os.path.lexists(path):  # a broken link is in the way, too
        return
    if is_complete(path):
        (path / MANIFEST).unlink()
        return
    number = 1
    while os.path.lexists(aside := path.with_name(f"broken-{path.name}-{number}")):
        number += 1
    older = [folder for folder in path.parent.glob("broken-checkpoint-*") if folder.is_dir() or folder.is_symlink()]
    path.rename(aside)
    for folder in older:
        _delete(folder)
    if journal is not None:
        names = ", ".join(sorted(folder.name for folder in older))
        kept = f"; the older {names} is deleted: only one is kept" if older else ""
        journal.event("checkpoint", f"{path.name} was incomplete and is now {aside.name}{kept}", level="warning")


def seal(path: Path, leave_out: Collection[str] = ()) -> None:
    """Completes a checkpoint: syncs its files and folders, then writes the manifest.

    Args:
        path: The `checkpoint-N` folder.
        leave_out: Names of files that may be replaced later. The manifest does not list them, so the checkpoint stays
            complete.

    Raises:
        OSError: It cannot be written.
    """
    sizes, checksums = {}, {}
    for file in _files(path):
        file.chmod(0o600)
        _sync(file)
        name = str(file.relative_to(path))
        if name in leave_out:
            continue
        sizes[name], checksums[name] = file.stat().st_size, _checksum(file)
    for folder in [path, *(folder for folder in path.rglob("*") if folder.is_dir())]:
        _sync(folder)
    draft = path / f".{MANIFEST}"
    write_private(draft, msgspec.json.format(msgspec.json.encode(Manifest(sizes, checksums))), sync=True)
    draft.rename(path / MANIFEST)
    _sync(path)
    _sync(path.parent)


def is_complete(path: Path, *, reads: bool = False) -> bool:
    """Whether every file of the manifest exists with its size.

    Args:
        path: The `checkpoint-N` folder.
        reads: Also read all files and compare their checksums.
    """
    try:
        refuse_unsafe_folder(path.parent)
        refuse_unsafe_folder(path, inside=True)
        manifest = msgspec.json.decode(read_regular(path / MANIFEST), type=Manifest)
        # A checkpoint without files cannot be resumed.
        return bool(manifest.files) and all(
            not Path(name).is_absolute()
            and ".." not in Path(name).parts
            and (path / name).lstat().st_size == size
            and (not reads or manifest.checksums.get(name) in (None, _checksum(path / name)))
            for name, size in manifest.files.items()
        )
    except (OSError, *UNREADABLE):
        return False


def steps(folder: Path) -> dict[int, Path]:
    """The `checkpoint-N` folders by their step, complete or not, the newest first."""
    checkpoints = {}
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if (match := re.fullmatch(r"checkpoint-(\d+)", path.name)) and path.is_dir():
                checkpoints[int(match[1])] = path
    return dict(sorted(checkpoints.items(), reverse=True))


def newest_complete(folder: Path, journal: JournalWriter | None = None) -> Path | None:
    """The newest complete checkpoint, with checksums compared.

    Args:
        folder: A run's `checkpoints`.
        journal: Receives an event for each incomplete checkpoint that is skipped.
    """
    for path in steps(folder).values():
        if is_complete(path, reads=True):
            return path
        if journal is not None:
            journal.event("checkpoint", f"{path.name} is incomplete and was skipped", level="warning")
    return None


def step_of(path: Path) -> int:
    """The N of a `checkpoint-N` folder."""
    return int(path.name.rpartition("-")[2])


def rotate(folder: Path, best: int | None = None) -> list[Path]:
    """Deletes complete checkpoints that are neither among the last two nor the best. Incomplete ones stay.

    Args:
        folder: A run's `checkpoints`.
        best: The step of the best checkpoint.

    Returns:
        The deleted folders.
    """
    for left in folder.glob(".deleting-*"):
        shutil.rmtree(left, ignore_errors=True)
    complete = [(step, path) for step, path in steps(folder).items() if is_complete(path)]
    old = [path for step, path in complete[2:] if step != best]
    for path in old:
        _delete(path)
    return old


def _delete(path: Path) -> None:
    # Renamed first, so that a process that is killed here leaves nothing that looks like an incomplete checkpoint.
    doomed = path.with_name(f".deleting-{path.name}")
    with contextlib.suppress(OSError):
        path.rename(doomed)
        if doomed.is_symlink():
            doomed.unlink()
        shutil.rmtree(doomed, ignore_errors=True)


def ensure_space(folder: Path, needed_bytes: int) -> None:
    """Checks that a checkpoint fits on the disk before it is written.

    Raises:
        NoRoomError: It does not; the message says how much is free and how much is needed.
    """
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < needed_bytes + _RESERVE:
        raise NoRoomError(
            f"the disk of {visible(folder)} has {free / 2**20:,.0f} MiB free and a checkpoint needs"
            f" {(needed_bytes + _RESERVE) / 2**20:,.0f} MiB"
        )


def is_no_room_error(error: Exception, folder: Path) -> bool:
    """Whether something could not be written because the disk is full or a quota is used up.

    Args:
        error: The error that was raised. The types of safetensors and torch do not tell; then the free space decides.
        folder: The folder that was written to.
    """
    if isinstance(error, NoRoomError) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return True
    return not isinstance(error, OSError) and shutil.disk_usage(folder).free < _RESERVE


def _files(path: Path) -> Iterator[Path]:
    for file in sorted(path.rglob("*")):
        if file.is_file() and not file.is_symlink() and file.name not in (MANIFEST, f".{MANIFEST}"):
            yield file


def _checksum(file: Path) -> int:
    checksum = 0
    with os.fdopen(open_regular(file), "rb") as opened:
        while part := opened.read(_BLOCK):
            checksum = zlib.crc32(part, checksum)
    return checksum


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError:
        # Some file systems cannot sync a folder; a file's data must reach the disk.
        if path.is_file():
            raise
    finally:
        os.close(descriptor)
