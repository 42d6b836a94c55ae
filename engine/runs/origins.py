"""Which runs this home has made, and what they may start: noted in the home, outside the run's folder.

A run of this home may start what this home has put into it (a command, Python functions). A run that was copied,
unpacked or mounted is only data. So a note holds a random token, which lies in the run's folder as well, the folder's
inode, and a digest of each command and function that was there when the run was made, was set since, or was agreed to.
Files that are unpacked over a run's folder bring the token along and leave the inode; what they would start is in no
note.
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
"""The token's file in a run's folder."""

_LARGEST = 64 * 1024


class _Origin(Struct):
    token: str
    inode: int
    digests: list[str] = []
    """Of what the run may start."""


def record_origin(folder: Path, startable: Iterable[str] = ()) -> None:
    """Notes that this home made the run in this folder, or that a person trusts it. Where that cannot be written, the
    run counts as somebody else's.

    Args:
        folder: The run's.
        startable: The commands and functions that it names.
    """
    token = secrets.token_hex(16)
    with contextlib.suppress(OSError, LooptopError):
        _origins().mkdir(mode=0o700, exist_ok=True)
        refuse_unsafe_folder(_origins())
        write_private(folder / TOKEN, token.encode())
        _write(folder, _Origin(token, _inode(folder), sorted(map(_digest, startable))))


def allow(folder: Path, startable: str) -> None:
    """Notes that this home has put a command into a run that it made; of another run nothing is noted."""
    origin = _read(folder)
    if origin is not None:
        with contextlib.suppress(OSError, LooptopError):
            _write(folder, _Origin(origin.token, origin.inode, sorted({*origin.digests, _digest(startable)})))


def is_made_here(folder: Path) -> bool:
    """Whether this home made the run in this folder, and nobody else can write there."""
    return _read(folder) is not None


def is_allowed(folder: Path, startable: str) -> bool:
    """Whether this home made the run in this folder and has put this command or function into it."""
    origin = _read(folder)
    return origin is not None and _digest(startable) in origin.digests


def _read(folder: Path) -> _Origin | None:
    """The note of the run in this folder; None where it does not belong to it, or others can write there."""
    try:
        if any(map(who_else_writes, (home(), _origins(), folder.parent, folder))):
            return None
        refuse_unsafe_folder(_origins())
        origin = msgspec.json.decode(read_regular(_origins() / folder.name, _LARGEST), type=_Origin)
        token = read_regular(folder / TOKEN, _LARGEST).decode("ascii")
        same = secrets.compare_digest(token, origin.token) and _inode(folder) == origin.inode
    except (OSError, LooptopError, ValueError, TypeError, msgspec.DecodeError):
        return None
    return origin if same else None


def _inode(folder: Path) -> int:
    return folder.stat().st_ino


def _write(folder: Path, origin: _Origin) -> None:
    write_private(_origins() / folder.name, msgspec.json.encode(origin))


def _digest(startable: str) -> str:
    return hashlib.sha256(startable.encode("utf-8", "surrogatepass")).hexdigest()


def forget_origin(folder: Path) -> None:
    """Forgets a run that is deleted: the next one of its name is another."""
    if is_made_here(folder):
        with contextlib.suppress(OSError, LooptopError):
            (_origins() / folder.name).unlink()


def _origins() -> Path:
    return home() / "origins"
