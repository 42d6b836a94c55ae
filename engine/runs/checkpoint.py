"""What makes a checkpoint count: a manifest of its files, written last, when everything else is on the disk.

Trainer writes straight into `checkpoint-N`. A folder without a true manifest is broken, whatever it holds: killed while
it was written, cut off by a full disk, copied in part. It is passed over with a word and never deleted silently; where
it is in the way it is moved aside, and of those that were moved aside the last one is kept.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from looptop.engine.errors import UNREADABLE, LooptopError
from looptop.engine.files.private import open_regular, read_regular, refuse_unsafe_folder, write_private
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.text import visible

MANIFEST = "manifest.json"

# What other writers (the journal, the log) need besides a checkpoint.
_RESERVE = 16 * 2**20
_BLOCK = 2**20


class NoRoomError(LooptopError):
    """The disk has no room for a checkpoint."""


class Manifest(Struct, frozen=True):
    """What a whole checkpoint holds."""

    files: dict[str, int]
    """Path within the folder -> size in bytes."""
    checksums: dict[str, int] = {}
    """Path within the folder -> CRC-32 of the file; without any in checkpoints of older versions."""


def begin(path: Path, journal: JournalWriter | None = None) -> None:
    """Makes room for a checkpoint of this name: what is broken under it is moved aside, what is whole stops counting.

    Args:
        path: The `checkpoint-N` folder, which may not exist yet.
        journal: Where to say what was moved.
    """
    if not os.path.lexists(path):  # a link that leads nowhere is in the way too
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
        kept = f"; {names}, broken before, is deleted: one of them is kept" if older else ""
        journal.event("checkpoint", f"{path.name} was not whole and is now {aside.name}{kept}", level="warning")


def seal(path: Path) -> None:
    """Makes a checkpoint count: syncs its files and folders, then writes the manifest.

    Raises:
        OSError: The disk did not take it.
    """
    sizes, checksums = {}, {}
    for file in _files(path):
        file.chmod(0o600)
        _sync(file)
        name = str(file.relative_to(path))
        sizes[name], checksums[name] = file.stat().st_size, _checksum(file)
    for folder in [path, *(folder for folder in path.rglob("*") if folder.is_dir())]:
        _sync(folder)
    draft = path / f".{MANIFEST}"
    write_private(draft, msgspec.json.format(msgspec.json.encode(Manifest(sizes, checksums))), sync=True)
    draft.rename(path / MANIFEST)
    _sync(path)
    _sync(path.parent)


def is_complete(path: Path, *, reads: bool = False) -> bool:
    """Whether everything is there that the manifest names, in its size.

    Args:
        path: The `checkpoint-N` folder.
        reads: Read all files, too, and compare their checksums.
    """
    try:
        refuse_unsafe_folder(path.parent)
        refuse_unsafe_folder(path, inside=True)
        manifest = msgspec.json.decode(read_regular(path / MANIFEST), type=Manifest)
        # A checkpoint without a file holds nothing to go on from.
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
    """The `checkpoint-N` folders, whole or broken, by their step, the newest first."""
    checkpoints = {}
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if (match := re.fullmatch(r"checkpoint-(\d+)", path.name)) and path.is_dir():
                checkpoints[int(match[1])] = path
    return dict(sorted(checkpoints.items(), reverse=True))


def newest_complete(folder: Path, journal: JournalWriter | None = None) -> Path | None:
    """The newest checkpoint that is whole, by what its files hold.

    Args:
        folder: A run's `checkpoints`.
        journal: Where to name the broken ones that are passed over.
    """
    for path in steps(folder).values():
        if is_complete(path, reads=True):
            return path
        if journal is not None:
            journal.event("checkpoint", f"{path.name} is not whole and is passed over", level="warning")
    return None


def step_of(path: Path) -> int:
    """The N of a `checkpoint-N` folder."""
    return int(path.name.rpartition("-")[2])


def rotate(folder: Path, keep: int = 2, best: int | None = None) -> list[Path]:
    """Deletes whole checkpoints that are neither among the last `keep` nor the best; broken ones stay.

    Args:
        folder: A run's `checkpoints`.
        keep: How many of the newest to keep.
        best: The step of the best one.

    Returns:
        What was deleted.
    """
    for left in folder.glob(".deleting-*"):
        shutil.rmtree(left, ignore_errors=True)
    whole = [(step, path) for step, path in steps(folder).items() if is_complete(path)]
    old = [path for step, path in whole[keep:] if step != best]
    for path in old:
        _delete(path)
    return old


def _delete(path: Path) -> None:
    # Renamed first: a process that is killed while it deletes must not leave what looks like a broken checkpoint.
    doomed = path.with_name(f".deleting-{path.name}")
    with contextlib.suppress(OSError):
        path.rename(doomed)
        if doomed.is_symlink():
            doomed.unlink()
        shutil.rmtree(doomed, ignore_errors=True)


def ensure_space(folder: Path, needed_bytes: int) -> None:
    """Looks whether a checkpoint fits before it is begun.

    Raises:
        NoRoomError: It does not; says how much is free and how much is needed.
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
    """Whether something could not be written because the disk is full, or a quota is used up.

    Args:
        error: What was raised; safetensors and torch have types of their own, which do not say it.
        folder: Where it should have been written.
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
