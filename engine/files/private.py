"""Reads and writes private files safely, even in a folder that a stranger prepared.

A run's folder can come from anywhere. So links are not followed, only regular files of reasonable size are read, only
files of this user are written, and nothing waits for a pipe or a device.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from pathlib import Path
from typing import BinaryIO

from looptop.engine.errors import LooptopError
from looptop.engine.home import is_read_only
from looptop.engine.text import counted, visible

MAX_FILE_BYTES = 4 * 2**20
"""The largest file that is read as a whole, in bytes; such files hold a configuration, or a title and note."""

_NEVER_WAIT = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class UnsafeFileError(LooptopError, OSError):
    """A file that is not safe to open: a link, a pipe, a device, another user's file, or too large."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{visible(path)} {what}; looptop does not open it: check where it comes from")
        self.strerror = f"it {what}; looptop does not open it"
        self.brief = f"{visible(path.name)} {what}; looptop does not open it"
        """The message without the folder, if that is known already."""

    def __str__(self) -> str:
        return str(self.args[0])


class ReadOnlyError(LooptopError, OSError):
    """Something would have been changed, but looptop was started with `--readonly`."""

    def __init__(self) -> None:
        super().__init__("nothing was changed: looptop was started with --readonly, to look only")
        self.strerror = "looptop was started with --readonly, to look only"

    def __str__(self) -> str:
        return str(self.args[0])


def refuse_if_read_only() -> None:
    """Whatever changes a file or a folder calls this first; opening a file to write it calls it too.

    Raises:
        ReadOnlyError: looptop was started with `--readonly`.
    """
    if is_read_only():
        raise ReadOnlyError


def open_regular(path: Path, flags: int = os.O_RDONLY, *, follow_links: bool = False) -> int:
    """Opens a regular file without waiting, and without following a link in the last part of its path.

    Args:
        path: The file.
        flags: As for `os.open`; if they allow writing, the file must belong to this user.
        follow_links: Open the file that a link points to.

    Returns:
        The descriptor; reads and writes on it block as usual.

    Raises:
        UnsafeFileError: It is a link, a folder, a pipe or a device, or belongs to another user.
        ReadOnlyError: It was to be written, and looptop was started only to look.
        OSError: It cannot be opened.
    """
    writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
    if writes:
        refuse_if_read_only()
    # The file is emptied only after it is known to be safe.
    empties, flags = bool(flags & os.O_TRUNC), flags & ~os.O_TRUNC
    try:
        descriptor = os.open(path, flags | _NEVER_WAIT | (0 if follow_links else os.O_NOFOLLOW), 0o600)
    except OSError as error:
        # ENXIO: a pipe without a reader, a socket, a missing device.
        what = {errno.ELOOP: "is a link", errno.EMLINK: "is a link", errno.ENXIO: "is not a regular file"}
        if error.errno in what and (error.errno == errno.ENXIO or path.is_symlink()):
            raise UnsafeFileError(path, what[error.errno]) from None
        raise
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise UnsafeFileError(path, "is a folder" if stat.S_ISDIR(facts.st_mode) else "is not a regular file")
        if writes and facts.st_uid != os.geteuid():
            raise UnsafeFileError(path, "belongs to another user")
        if writes and facts.st_nlink > 1:
            raise UnsafeFileError(path, "has another name, too (a hard link)")
        if empties:
            os.ftruncate(descriptor, 0)
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_regular(path: Path, largest: int = MAX_FILE_BYTES, *, follow_links: bool = False) -> bytes:
    """The whole content of a regular file.

    Args:
        path: The file.
        largest: The most bytes that it may have.
        follow_links: Read the file that a link points to.

    Raises:
        UnsafeFileError: See `open_regular`; or the file is larger.
        OSError: It cannot be read.
    """
    with os.fdopen(open_regular(path, follow_links=follow_links), "rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise UnsafeFileError(path, f"has more than {counted(largest, 'byte')}")
    return data


def refuse_unsafe(path: Path) -> None:
    """Checks that a file, if it exists, is a regular file and not a link.

    Raises:
        UnsafeFileError: It is not.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        raise UnsafeFileError(path, "is a link" if stat.S_ISLNK(mode) else "is not a regular file")


def refuse_unsafe_folder(folder: Path, *, inside: bool = False) -> None:
    """Checks that a folder, if it exists, is a folder and not a link.

    Args:
        folder: The folder.
        inside: Everything in it, too, must be a folder or a regular file.

    Raises:
        UnsafeFileError: It is not.
    """
    try:
        mode = folder.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISDIR(mode):
        raise UnsafeFileError(folder, "is a link" if stat.S_ISLNK(mode) else "is not a folder")
    if inside:
        for below, folders, files in os.walk(folder):
            for name in folders:
                refuse_unsafe_folder(Path(below, name))
            for name in files:
                refuse_unsafe(Path(below, name))


def who_else_writes(path: Path) -> str:
    """Who besides this user can change a file or folder, and how to prevent it; empty if nobody can.

    The administrator is not counted.
    """
    try:
        facts = path.stat()
    except OSError:
        return ""
    if facts.st_uid not in (0, os.geteuid()):
        return f"{visible(path)} belongs to another user; make it yours, or set LOOPTOP_HOME to a folder of your own"
    others = "everybody" if facts.st_mode & stat.S_IWOTH else "its group" if facts.st_mode & stat.S_IWGRP else ""
    return f"{visible(path)} can be written by {others}; chmod go-w {visible(shlex.quote(str(path)))}" if others else ""


def write_private(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Writes a file of mode 0600, replacing its content.

    Args:
        path: The file.
        data: The whole content.
        sync: Wait until it is on the disk.

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
    """Opens a file of mode 0600 for appending; it is made if missing.

    Raises:
        UnsafeFileError: See `open_regular`.
        OSError: It cannot be opened.
    """
    return os.fdopen(open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab")


def touch_private(path: Path) -> None:
    """Makes a file if it is missing, and sets its mode to 0600.

    Raises:
        UnsafeFileError: See `open_regular`.
        OSError: It cannot be made.
    """
    descriptor = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
