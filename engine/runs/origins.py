"""Records which runs this home made, and which commands and functions they may start.

"This home" is the home folder of this user's looptop (`home.home`). The records are in it, outside the run folders. A
run that this home made may start the commands and Python functions that it was made with. A run that was copied,
unpacked or mounted is only data.

A record holds a random token, which is also in the run's folder; the inode of that folder; and a digest of each command
and function that the run was made with, that was set later, or that a person agreed to. The token and the inode tell a
copied folder from the original. The digests protect against files that are unpacked over the original folder: these
may contain the right token and keep the inode, but what they would start is not in the record.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from looptop.engine.errors import LooptopError
from looptop.engine.files.private import read_regular, refuse_unsafe_folder, who_else_writes, write_private
from looptop.engine.home import home

TOKEN = "origin"
"""The file with the token, in a run's folder."""

_MAX_BYTES = 64 * 1024


def functions_of(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The Python functions that a configuration uses as rewards: (reward's name, function)."""
    rewards = settings.get("rewards")
    parts = [part for part in rewards if isinstance(part, dict)] if isinstance(rewards, list | tuple) else []
    return [(str(part.get("name", "?")), str(part["function"])) for part in parts if part.get("function")]


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
    """Records that a run may start a command, which was set here or which a person agreed to. Does nothing if this home
    did not make the run.
    """
    origin = _read(folder)
    if origin is not None:
        with contextlib.suppress(OSError, LooptopError):
            _write(folder, _Origin(origin.token, origin.inode, sorted({*origin.digests, _digest(command_or_function)})))


def is_made_here(folder: Path) -> bool:
    """Whether this home made the run in this folder, and nobody else can write there."""
    return _read(folder) is not None


def is_allowed(folder: Path, command_or_function: str) -> bool:
    """Whether this home made the run in this folder, and its record lists this command or function."""
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
    """Removes the record of a run that this home made and has deleted, so that nothing of it stays behind."""
    with contextlib.suppress(OSError, LooptopError):
        (_origins() / folder.name).unlink()


def _origins() -> Path:
    return home() / "origins"
