"""The seconds between the parts of a run that was resumed, in which nothing trained it."""

from __future__ import annotations

import itertools
import math
from typing import Any

from looptop.engine.journal import decode
from looptop.engine.journal.records import RunState

_ENDED = {state.value for state in RunState if state.ended}
_TRAINING = {RunState.RUNNING.value, RunState.PAUSED.value}


def idle_seconds(read: Any) -> float:
    """The seconds in which a run had ended, or its process was gone, before it was resumed.

    A run that was killed has not journalled when. What it did after the last event that the resume keeps, the
    checkpoint in most cases, was made again. So its time until that event counts.

    Args:
        read: The `execute` of a connection inside a transaction.
    """
    rows = [
        (decode.moment_or_none(time), decode.text(state))
        for time, state in read("SELECT time, state FROM states ORDER BY id").fetchall()
    ]
    changes = [(time, state) for time, state in rows if time is not None]
    resumes = _resume_times(read)
    total = 0.0
    for at, ((begin, state), (end, following)) in enumerate(itertools.pairwise(changes)):
        if state in _ENDED:
            total += max(0.0, end - begin)
        elif state in _TRAINING and following == RunState.RUNNING.value:
            until = changes[at + 2][0] if at + 2 < len(changes) else math.inf
            # A paused run that is continued has the same states, without the event of a resume.
            if any(end <= time < until for time in resumes):
                total += max(0.0, end - _last_kept(read, begin, end))
    return total


def _resume_times(read: Any) -> list[float]:
    """When processes that resumed the run began: read once, as a run may have been paused thousands of times."""
    times = (
        decode.moment_or_none(time) for (time,) in read("SELECT time FROM events WHERE kind = 'resume'").fetchall()
    )
    return [time for time in times if time is not None]


def _last_kept(read: Any, begin: float, end: float) -> float:
    """The time of the last event between two moments that a resume has not superseded; the first moment if none."""
    query = "SELECT max(time) FROM events WHERE NOT superseded AND time >= ? AND time < ?"
    return decode.moment_or_none(read(query, (begin, end)).fetchone()[0]) or begin
