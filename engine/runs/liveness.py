"""Whether a run is live, and how that is known: by its lock on this machine, or by its heartbeat on another.

A live run cannot write if its disk is full: its new metrics wait in memory, and it seems to have stopped.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from pathlib import Path

from looptop.engine.errors import LooptopError
from looptop.engine.files import lock
from looptop.engine.journal.records import RunState
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import counted, join_text, visible

OVERLOAD = 1.5
"""A machine is busy if, on average over a minute, this many programs want each core."""
FULL_BELOW = 2**20
"""A disk with less free space than this, in bytes, counts as full."""


def liveness_text(folder: RunFolder) -> str:
    """Whether the run is live and how that is known, in a sentence."""
    by, owner = folder.live_by(), folder.owner()
    if owner is None:
        if by:
            return "live: a process holds its lock"
        if lock.damage(folder.lock):
            return "not live: no process on this machine holds its lock"
        return "not live: no process has ever run it"
    here = owner.host == socket.gethostname()
    where = "this machine" if here else visible(owner.host)
    ago = max(0.0, time.time() - owner.heartbeat)
    if by == "lock":
        return f"live: process {owner.pid} on {where} holds its lock"
    if by == "heartbeat":
        return f"live: its heartbeat on {where} was {ago:.0f} s ago (locks of other machines are not visible here)"
    if here:
        return "not live: no process on this machine holds its lock"
    return f"probably not live: its last heartbeat on {where} was {_ago(ago)} ago"


def why_interrupted(folder: RunFolder) -> str:
    """The likely reason why a run that should be live is not."""
    if unsafe := folder.what_is_unsafe():
        return unsafe
    full = full_disk(folder.path)
    return "its process ended unexpectedly" + (f", and {full}: its last metrics may be missing" if full else "")


def runs_beside(folder: RunFolder) -> list[str]:
    """The ids of other runs of this home that train on this machine now."""
    ids = []
    for run in RunFolder.all():
        with contextlib.suppress(LooptopError):
            if run.path != folder.path and run.live_by() == "lock" and run.state() is RunState.RUNNING:
                ids.append(run.id)
    return ids


def what_slows(folder: RunFolder) -> str:
    """What else keeps this machine busy, for people: other runs, more programs than cores; empty if nothing is known.

    Args:
        folder: The run that is slow.
    """
    runs, load, cores = runs_beside(folder), os.getloadavg()[0], os.cpu_count() or 1
    reasons = [f"{join_text(runs, 'and')} {'trains' if len(runs) == 1 else 'train'} beside it"] if runs else []
    if load > OVERLOAD * cores:
        reasons.append(f"{load:.0f} programs want the {counted(cores, 'core')} of this machine")
    return ", ".join(reasons)


def full_disk(folder: Path) -> str:
    """`the disk of FOLDER is full (12 KiB free)`; empty if it is not full."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return ""
    return "" if free >= FULL_BELOW else f"the disk of {visible(folder)} is full ({free // 1024:,} KiB free)"


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
