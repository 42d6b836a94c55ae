"""Reads and writes files that nobody else may read, and that may have been put there by a stranger.

A run's folder can come from anywhere. So no link in it is followed, nothing but a regular file of reasonable size is
read, what is written to is a file of this user's, and no pipe or device is ever waited for.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from pathlib import Path
from typing import BinaryIO

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible

LARGEST = 4 * 2**20
"""Bytes of a file that is read whole: a configuration, what a person says of a run."""

_NEVER_WAIT = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class UnsafeFileError(LooptopError, OSError):
    """A file that is not what it should be: a link, a pipe, a device, somebody else's, too large."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{visible(path)} {what}; looptop does not open it: look where it comes from")
        self.strerror = f"it {what}; looptop does not open it"
        self.brief = f"{visible(path.name)} {what}; looptop does not open it"
        """For where the folder is known."""

    def __str__(self) -> str:
        return str(self.args[0])


def open_regular(path: Path, flags: int = os.O_RDONLY, mode: int = 0o600, *, follow_links: bool = False) -> int:
    """Opens a regular file, without waiting and without following a link in its last part.

    Args:
        path: The file.
        flags: As `os.open` takes them; where they allow to write, the file must be this user's own.
        mode: Of a file that is made.
        follow_links: Take what a link points to.

    Returns:
        The descriptor; reads and writes on it wait as usual.

    Raises:
        UnsafeFileError: It is a link, a folder, a pipe or a device, or belongs to somebody else.
        OSError: It cannot be opened.
    """
    writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
    # Emptied only once it is known what it is.
    empties, flags = bool(flags & os.O_TRUNC), flags & ~os.O_TRUNC
    try:
        descriptor = os.open(path, flags | _NEVER_WAIT | (0 if follow_links else os.O_NOFOLLOW), mode)
    except OSError as error:
        # A pipe without a reader, a socket, a device that is not there.
        what = {errno.ELOOP: "is a link", errno.EMLINK: "is a link", errno.ENXIO: "is no regular file"}
        if error.errno in what and (error.errno == errno.ENXIO or path.is_symlink()):
            raise UnsafeFileError(path, what[error.errno]) from None
        raise
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise UnsafeFileError(path, "is a folder" if stat.S_ISDIR(facts.st_mode) else "is no regular file")
        if writes and facts.st_uid != os.geteuid():
            raise UnsafeFileError(path, "belongs to somebody else")
        if writes and facts.st_nlink > 1:
            raise UnsafeFileError(path, "is a file that has another name, too (a hard link)")
        if empties:
            os.ftruncate(descriptor, 0)
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_regular(path: Path, largest: int = LARGEST, *, follow_links: bool = False) -> bytes:
    """All of a regular file.

    Args:
        path: The file.
        largest: Bytes that it may have.
        follow_links: Take what a link points to.

    Raises:
        UnsafeFileError: See `open_regular`; or it is larger.
        OSError: It cannot be read.
    """
    with os.fdopen(open_regular(path, follow_links=follow_links), "rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise UnsafeFileError(path, f"has more than {largest:,} bytes")
    return data


def refuse_unsafe(path: Path) -> None:
    """Looks whether a file, if there is one, is a regular one and no link.

    Raises:
        UnsafeFileError: It is not.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        raise UnsafeFileError(path, "is a link" if stat.S_ISLNK(mode) else "is no regular file")


def refuse_unsafe_folder(folder: Path, *, inside: bool = False) -> None:
    """Looks whether a folder, if there is one, is a folder and no link.

    Args:
        folder: The folder.
        inside: All that lies in it, too, must be folders and regular files.

    Raises:
        UnsafeFileError: It is not.
    """
    try:
        mode = folder.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISDIR(mode):
        raise UnsafeFileError(folder, "is a link" if stat.S_ISLNK(mode) else "is no folder")
    if inside:
        for below, folders, files in os.walk(folder):
            for name in folders:
                refuse_unsafe_folder(Path(below, name))
            for name in files:
                refuse_unsafe(Path(below, name))


def who_else_writes(path: Path) -> str:
    """Who besides this user can change a file or folder, and what ends that; empty where nobody can.

    The administrator can change everything and is not counted.
    """
    try:
        facts = path.stat()
    except OSError:
        return ""
    if facts.st_uid not in (0, os.geteuid()):
        return f"{visible(path)} belongs to another user; take it over, or set LOOPTOP_HOME to a folder of your own"
    others = "everybody" if facts.st_mode & stat.S_IWOTH else "its group" if facts.st_mode & stat.S_IWGRP else ""
    return f"{visible(path)} can be written by {others}; chmod go-w {visible(shlex.quote(str(path)))}" if others else ""


def write_private(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Writes a file of mode 0600, over what was there.

    Args:
        path: The file.
        data: All of it.
        sync: Return when it is on the disk.

    Raises:
        UnsafeFileError: See `open_regular`.
        OSError: It cannot be written.
    """
    descriptor = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        if sync:
            file.flush()
            os.fsync(descriptor)


def append_private(path: Path) -> BinaryIO:
    """A file of mode 0600, made when missing, to add to its end.

    Raises:
        UnsafeFileError: See `open_regular`.
        OSError: It cannot be opened.
    """
    return os.fdopen(open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab")


def touch_private(path: Path) -> None:
    """Makes sure that a file is there, with mode 0600.

    Raises:
        UnsafeFileError: See `open_regular`.
        OSError: It cannot be made.
    """
    descriptor = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
