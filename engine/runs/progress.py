"""The progress of work between steps, such as loading, preparing data and evaluating.

Steps have metrics that show progress. Evaluating a large data set can take hours without any.
A run keeps the progress as a fact in its journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from looptop.engine.journal.writer import JournalWriter
from looptop.engine.text import visible

PROGRESS_FACT = "progress"
"""The name of the fact; its value is null while the run makes steps."""

WRITE_SECONDS = 1.0

SHOWN_AFTER_SECONDS = 2.0
"""The duration of an activity is shown from here on."""


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


class ProgressMeter:
    """Measures activities that follow one another.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._text = ""
        self._began = self._began_epoch = 0.0
        self._first_done = self._done = 0

    def begins(self, text: str, done: int) -> bool:
        """Whether a new activity begins: its text differs from the last one's, or less of it is done."""
        return text != self._text or done < self._done

    def measure(self, text: str, done: int, total: int) -> Progress:
        """The progress with the seconds that are left.

        Args:
            text: The activity.
            done: How much of it is done.
            total: The total; 0 if unknown.
        """
        now = self._clock()
        if self.begins(text, done):
            self._text, self._began, self._first_done, self._began_epoch = text, now, done, time.time()
        self._done = done
        made = done - self._first_done
        left = (now - self._began) / made * (total - done) if made > 0 and total > done else None
        return Progress(text, done, total, left, self._began_epoch)

    def end(self) -> None:
        """Ends the activity."""
        self._text = ""


class ProgressReport:
    """Journals the progress: immediately when an activity begins or ends, otherwise at most once a second.

    Args:
        journal: The run's journal.
        clock: Seconds since the run began, pauses not counted.
    """

    def __init__(self, journal: JournalWriter, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._meter = ProgressMeter(clock)
        self._written = 0.0
        self._is_journalled = False

    def at(self, text: str, done: int = 0, total: int = 0) -> None:
        """Reports progress; takes some microseconds, unless it is time to journal it.

        Args:
            text: The activity. If it differs from the last call's, or less of it is done, a new one begins.
            done: How much of it is done.
            total: The total; 0 if unknown.
        """
        # A beginning is journalled immediately: there are no more reports if the run is paused in it.
        begins, now = self._meter.begins(text, done), time.monotonic()
        progress = self._meter.measure(text, done, total)
        if not begins and now - self._written < WRITE_SECONDS:
            return
        self._written, self._is_journalled = now, True
        self._journal.facts(**{PROGRESS_FACT: progress})

    def end(self) -> None:
        """Ends the activity."""
        self._meter.end()
        if self._is_journalled:
            self._is_journalled = False
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
        progress: That of a live run or of an evaluation.
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
