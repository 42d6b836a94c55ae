"""Records which runs this home made and what they may start. The records are in the home, outside the run folders.

A run of this home may start what this home put into it (a command, Python functions). A run that was copied, unpacked
or mounted is only data. So a record holds a random token, which is also in the run's folder, the folder's inode, and a
digest of each command and function that the run was made with, that was set later, or that a person agreed to. Files
that are unpacked over a run's folder may bring its token and do not change its inode, but the record does not list what
they would start.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from looptop.engine.errors import LooptopError
from looptop.engine.files.private import read_regular, refuse_unsafe_folder, who_else_writes, write_private
from looptop.engine.home import home

TOKEN = "origin"
"""The file with the token, in a run's folder."""

_MAX_BYTES = 64 * 1024


class _Origin(Struct):
    token: str
    inode: int
    digests: list[str] = []
    """SHA-256 of each command and function that the run may start."""


def record_origin(folder: Path, command_or_function: Iterable[str] = ()) -> None:
    """Records that this home made the run in this folder, or that a person trusts it. If the record cannot be written,
    the run counts as somebody else's.

    Args:
        folder: The run's folder.
        command_or_function: The commands and functions that the run names.
    """
    token = secrets.token_hex(16)
    with contextlib.suppress(OSError, LooptopError):
        _origins().mkdir(mode=0o700, exist_ok=True)
        refuse_unsafe_folder(_origins())
        write_private(folder / TOKEN, token.encode())
        _write(folder, _Origin(token, _inode(folder), sorted(map(_digest, command_or_function))))


def allow(folder: Path, command_or_function: str) -> None:
    """Records that this home put a command into a run that it made; does nothing for other runs."""
    origin = _read(folder)
    if origin is not None:
        with contextlib.suppress(OSError, LooptopError):
            _write(folder, _Origin(origin.token, origin.inode, sorted({*origin.digests, _digest(command_or_function)})))


def is_made_here(folder: Path) -> bool:
    """Whether this home made the run in this folder, and nobody else can write there."""
    return _read(folder) is not None


def is_allowed(folder: Path, command_or_function: str) -> bool:
    """Whether this home made the run in this folder and put this command or function into it."""
    origin = _read(folder)
    return origin is not None and _digest(command_or_function) in origin.digests


def _read(folder: Path) -> _Origin | None:
    """The record of the run in this folder; None if it belongs to another folder, or others can write there."""
    try:
        if any(map(who_else_writes, (home(), _origins(), folder.parent, folder))):
            return None
        refuse_unsafe_folder(_origins())
        origin = msgspec.json.decode(read_regular(_origins() / folder.name, _MAX_BYTES), type=_Origin)
        token = read_regular(folder / TOKEN, _MAX_BYTES).decode("ascii")
        same = secrets.compare_digest(token, origin.token) and _inode(folder) == origin.inode
    except (OSError, LooptopError, ValueError, TypeError, msgspec.DecodeError):
        return None
    return origin if same else None


def _inode(folder: Path) -> int:
    return folder.stat().st_ino


def _write(folder: Path, origin: _Origin) -> None:
    write_private(_origins() / folder.name, msgspec.json.encode(origin))


def _digest(command_or_function: str) -> str:
    return hashlib.sha256(command_or_function.encode("utf-8", "surrogatepass")).hexdigest()


def forget_origin(folder: Path) -> None:
    """Removes the record of a run that is deleted, so that it does not apply to the next run of this name."""
    if is_made_here(folder):
        with contextlib.suppress(OSError, LooptopError):
            (_origins() / folder.name).unlink()


def _origins() -> Path:
    return home() / "origins"
