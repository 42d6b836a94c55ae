"""What several tests use."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import Point, RunState
from looptop.engine.runs.control import Control, wait_reply
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.run import Run


def examples(few: int, many: int) -> int:
    """How many random examples a test tries: `few`, or `many` in the nightly profile."""
    return many if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else few


def eventually(predicate: Callable[[], object], limit: float = 60.0) -> object:
    """Waits until the predicate holds and returns what it gave; fails when `limit` seconds have passed."""
    end = time.monotonic() + limit
    pause = 0.005
    while not (value := predicate()):
        if time.monotonic() > end:
            raise AssertionError(f"still not so after {limit} s: {predicate}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)
    return value


def last(journal: Journal, name: str) -> Point:
    """The last point of a metric that the journal must have."""
    point = journal.last(name)
    assert point is not None, f"there is no {name}"
    return point


def step_of(run: RunFolder) -> int:
    """The last step whose loss stands in the journal; 0 before the first."""
    point = Journal(run.db).last("loss")
    return point.step if point else 0


def hold_at(run: Run, step: int) -> None:
    """Pauses a run that has just been started, and lets it make single steps up to this one."""
    run.pause()
    eventually(lambda: run.state is RunState.PAUSED)
    while (made := step_of(run.folder)) < step:
        run.step()
        eventually(lambda made=made: step_of(run.folder) > made and run.state is RunState.PAUSED)  # type: ignore[misc]


def losses(journal: Journal) -> dict[int, float]:
    """The loss of each step."""
    return {point.step: point.value for point in journal.values("loss") if point.value is not None}


def wait_taken(folder: RunFolder, control: Control, limit: float) -> str | None:
    """What a run replies to a control, for people; None where it does not within `limit` seconds."""
    reply = wait_reply(folder, control, limit)
    return None if reply is None else reply.text
