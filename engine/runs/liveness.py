"""Whether a run is live, and how that is known: by its lock on this machine, by its heartbeat on another.

A live run whose disk is full cannot write: its new metrics wait in its memory, and it seems to say nothing.
"""

from __future__ import annotations

import shutil
import socket
import time
from pathlib import Path

from looptop.engine.files import lock
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

LITTLE = 2**20
"""Bytes of free disk below which nobody can write much."""


def liveness_text(folder: RunFolder) -> str:
    """Whether the run lives and how that is known, in a sentence."""
    by, owner = folder.live_by(), folder.owner()
    if owner is None:
        if by:
            return "live: a process holds its lock"
        if lock.damage(folder.lock):
            return "not live: no process on this machine holds its lock"
        return "never had a process"
    here = owner.host == socket.gethostname()
    where = "this machine" if here else visible(owner.host)
    ago = max(0.0, time.time() - owner.heartbeat)
    if by == "lock":
        return f"live: process {owner.pid} on {where} holds its lock"
    if by == "heartbeat":
        return f"live, by its heartbeat of {ago:.0f} s ago on {where}: the lock of another machine cannot be seen here"
    if here:
        return "not live: no process on this machine holds its lock"
    return f"not live, as far as can be told here: its last heartbeat on {where} was {_ago(ago)} ago"


def why_interrupted(folder: RunFolder) -> str:
    """Why a run that should be live is not, as far as can be told."""
    if unsafe := folder.what_is_unsafe():
        return unsafe
    full = full_disk(folder.path)
    return "its process ended unexpectedly" + (f", and {full}: its last metrics may be missing" if full else "")


def full_disk(folder: Path) -> str:
    """`the disk of FOLDER is full (12 KiB free)`, or nothing where it is not."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return ""
    return "" if free >= LITTLE else f"the disk of {visible(folder)} is full ({free // 1024:,} KiB free)"


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
