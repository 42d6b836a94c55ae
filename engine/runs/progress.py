"""The progress of work between steps, such as loading, preparing data and evaluating; a fact in the run's journal.

Steps have metrics that show progress. Evaluating a large data set can take hours without any.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from looptop.engine.journal.reader import JournalWriter
from looptop.engine.text import visible

PROGRESS_FACT = "progress"
"""The name of the fact; its value is null while the run makes steps."""

WRITE_SECONDS = 1.0

SHOWN_AFTER_SECONDS = 2.0
"""How long an activity takes before it is said for how long it has been going on."""


class Progress(Struct, frozen=True):
    """The progress of one activity."""

    text: str
    """What the run does: "evaluating after step 12"."""
    done: int = 0
    total: int = 0
    """0 if unknown."""
    seconds_left: float | None = None
    began: float = 0.0
    """When the activity began, in seconds since the epoch; 0 if unknown."""


class ProgressReport:
    """Journals the progress of an activity, at most once a second.

    Args:
        journal: The run's journal.
        clock: Seconds since the run began, pauses not counted.
    """

    def __init__(self, journal: JournalWriter, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock
        self._text = ""
        self._began = self._began_time = 0.0
        self._begun_at = self._done = 0
        self._written = 0.0
        self._shown = False

    def at(self, text: str, done: int = 0, total: int = 0) -> None:
        """Reports progress; takes some microseconds, unless it is time to journal it.

        Args:
            text: The activity. If it differs from the last call's, a new activity begins.
            done: How much of it is done.
            total: The total; 0 if unknown.
        """
        now, real = self._clock(), time.monotonic()
        begins = text != self._text or done < self._done
        self._done = done
        if begins:
            # Journalled immediately: there are no more reports if the run is paused in it.
            self._text, self._began, self._begun_at, self._began_time = text, now, done, time.time()
        elif real - self._written < WRITE_SECONDS:
            return
        self._written, self._shown = real, True
        made = done - self._begun_at
        left = (now - self._began) / made * (total - done) if made > 0 and total > done else None
        self._journal.facts(**{PROGRESS_FACT: Progress(text, done, total, left, self._began_time)})

    def end(self) -> None:
        """Ends the activity."""
        self._text = ""
        if self._shown:
            self._shown = False
            self._journal.facts(**{PROGRESS_FACT: None})


def progress_of(facts: Mapping[str, Any]) -> Progress | None:
    """The progress in a run's facts; None if there is none or it cannot be read."""
    try:
        return msgspec.convert(facts.get(PROGRESS_FACT), Progress | None)
    except msgspec.ValidationError:
        return None


def progress_text(progress: Progress, duration: Callable[[float], str]) -> str:
    """Progress for people: "evaluating after step 12: 1,024 of 30,260, for 0:21, 2:03 left".

    Args:
        progress: The progress of a live run.
        duration: Formats seconds.
    """
    words = visible(progress.text)
    if progress.total > 0:
        words += f": {progress.done:,} of {progress.total:,}"
    taken = time.time() - progress.began
    if progress.began and taken >= SHOWN_AFTER_SECONDS:
        words += f", for {duration(taken)}"
    if progress.seconds_left is not None:
        words += f", {duration(progress.seconds_left)} left"
    return words
