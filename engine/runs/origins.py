"""Which runs this home has made: noted when a run is made, in the home and outside the run's folder.

A run of this home may start what it names (a command, Python functions). A run that was copied, unpacked or mounted is
only data. Two things must agree: a random token that lies in the run's folder and in `origins/` of the home, and the
folder's inode, which no copy has. So neither a copied folder nor one that came back from a colleague is taken for one
that was made here.
"""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

import msgspec
from msgspec import Struct

from looptop.engine.errors import LooptopError
from looptop.engine.runs.home import home
from looptop.engine.runs.private import read_regular, refuse_unsafe_folder, who_else_writes, write_private

TOKEN = "origin"
"""The token's file in a run's folder."""

_LARGEST = 4096


class _Origin(Struct):
    token: str
    inode: int


def record_origin(folder: Path) -> None:
    """Notes that this home made the run in this folder, or that a person trusts it. Where that cannot be written, the
    run counts as somebody else's.
    """
    with contextlib.suppress(OSError, LooptopError):
        token = secrets.token_hex(16)
        origins = _origins()
        origins.mkdir(mode=0o700, exist_ok=True)
        refuse_unsafe_folder(origins)
        write_private(folder / TOKEN, token.encode())
        write_private(origins / folder.name, msgspec.json.encode(_Origin(token, folder.stat().st_ino)))


def is_made_here(folder: Path) -> bool:
    """Whether this home made the run in this folder, and nobody else can write there."""
    try:
        if who_else_writes(home()) or who_else_writes(_origins()) or who_else_writes(folder):
            return False
        refuse_unsafe_folder(_origins())
        origin = msgspec.json.decode(read_regular(_origins() / folder.name, _LARGEST), type=_Origin)
        token = read_regular(folder / TOKEN, _LARGEST).decode("ascii")
        inode = folder.stat().st_ino
    except (OSError, LooptopError, ValueError, msgspec.DecodeError):
        return False
    return secrets.compare_digest(token, origin.token) and inode == origin.inode


def forget_origin(folder: Path) -> None:
    """Forgets a run that is deleted: the next one of its name is another."""
    if is_made_here(folder):
        with contextlib.suppress(OSError, LooptopError):
            (_origins() / folder.name).unlink()


def _origins() -> Path:
    return home() / "origins"
