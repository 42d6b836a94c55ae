"""How far a run is with what lies between its steps: loading, preparing data, evaluating. A fact of its journal.

Steps have metrics; an evaluation of a large data set takes hours and has none, so that nobody saw whether it moved.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from looptop.engine.journal.reader import JournalWriter
from looptop.engine.text import visible

FACT = "progress"
"""The fact that holds it; null while steps are made."""

WRITE_SECONDS = 1.0


class Progress(Struct, frozen=True):
    """How far one activity is."""

    text: str
    """What the run does: "evaluating after step 12"."""
    done: int = 0
    total: int = 0
    """0 where nobody knows."""
    seconds_left: float | None = None


class ProgressReport:
    """Journals progress, of one activity once a second at most.

    Args:
        journal: The run's.
        clock: Seconds that the run was not paused.
    """

    def __init__(self, journal: JournalWriter, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock
        self._text = ""
        self._began = 0.0
        self._begun_at = self._done = 0
        self._written = 0.0
        self._shown = False

    def at(self, text: str, done: int = 0, total: int = 0) -> None:
        """Says how far an activity is: some microseconds, unless it is time to journal it.

        Args:
            text: The activity; another one than last time begins with this call.
            done: How much of it is done.
            total: Of how much; 0 where nobody knows.
        """
        now, real = self._clock(), time.monotonic()
        begins = text != self._text or done < self._done
        self._done = done
        if begins:
            # Journalled at once: a run that is paused in it says nothing more.
            self._text, self._began, self._begun_at = text, now, done
        elif real - self._written < WRITE_SECONDS:
            return
        self._written, self._shown = real, True
        made = done - self._begun_at
        left = (now - self._began) / made * (total - done) if made > 0 and total > done else None
        self._journal.facts(**{FACT: Progress(text, done, total, left)})

    def end(self) -> None:
        """Says that no such activity goes on any more."""
        self._text = ""
        if self._shown:
            self._shown = False
            self._journal.facts(**{FACT: None})


def progress_of(facts: Mapping[str, Any]) -> Progress | None:
    """The progress among a run's facts; None where there is none, or none that can be read."""
    try:
        return msgspec.convert(facts.get(FACT), Progress | None)
    except msgspec.ValidationError:
        return None


def progress_text(progress: Progress, duration: Callable[[float], str]) -> str:
    """Progress for people: "evaluating after step 12: 1,024 of 30,260, 2:03 left".

    Args:
        progress: Of a live run.
        duration: Writes seconds.
    """
    words = visible(progress.text)
    if progress.total > 0:
        words += f": {progress.done:,} of {progress.total:,}"
    if progress.seconds_left is not None:
        words += f", {duration(progress.seconds_left)} left"
    return words
