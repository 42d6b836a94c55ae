"""Notices about runs, whichever screen is open, and the lasting sign that live runs have alerts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import state_text
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.engine.runs.liveness import why_interrupted
from looptop.engine.runs.notify import ALERTS, hit_breakpoint

_SEVERITY = {RunState.FAILED: "error", RunState.INTERRUPTED: "error", RunState.STOPPED: "warning"}

SEARCH_SECONDS = 5.0
"""Seconds between two searches for live runs that were started elsewhere."""
BEATS_WITHIN = 30.0
"""A live run has written its lock file within these seconds: it does so every two seconds."""


@dataclass(frozen=True)
class Notice:
    """A sentence to show to the person."""

    sentence: str
    severity: str


@dataclass
class _Watched:
    run: RunFolder
    journal: Journal
    notices: bool
    """Whether it gives notices: it was shown or started here."""
    version: int = -1
    event: int = 0
    states: int = 0


class RunEvents:
    """Follows runs; may be called from any thread, but from one at a time."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._alerts: dict[str, int] = {}
        """The number of alerts of each run that has some, by its id."""
        self._seen: dict[str, int] = {}
        """How many alerts of a run were read."""
        self._searched = float("-inf")

    def add(self, run: RunFolder, *, notices: bool = True) -> None:
        """Follows a run from now on, if it is live.

        Args:
            run: The run.
            notices: Whether it gives notices; earlier events give none.
        """
        key = str(run.path)
        if (known := self._watched.get(key)) is not None:
            known.notices = known.notices or notices
        elif run.is_live():
            watched = _Watched(run, Journal(run.db), notices)
            try:
                watched.version = watched.journal.version()
                watched.event = max((event.id for event in watched.journal.events()), default=0)
                watched.states = len(watched.journal.states())
                self._count(watched)
            except LooptopError:
                return
            self._watched[key] = watched

    def _add_live(self) -> None:
        """Follows the live runs of this home that nobody has shown here, without notices."""
        for run in RunFolder.all():
            try:
                recent = time.time() - run.lock.stat().st_mtime < BEATS_WITHIN
            except OSError:
                continue
            if recent and str(run.path) not in self._watched:
                self.add(run, notices=False)
        self._searched = time.monotonic()

    @property
    def is_empty(self) -> bool:
        """Whether there is no run to follow."""
        return not self._watched

    @property
    def alerts(self) -> Mapping[str, int]:
        """The alerts that were not read yet, of runs that are live or have ended since: how many, by the run's id."""
        return {name: count for name, count in self._alerts.items() if count > self._seen.get(name, 0)}

    def read(self, run: RunFolder) -> None:
        """The alerts that the run has now were read."""
        if run.id in self._alerts:
            self._seen[run.id] = self._alerts[run.id]

    def poll(self) -> list[Notice]:
        """Notices of what has happened since the last call. Also searches for live runs, every few seconds."""
        if time.monotonic() - self._searched >= SEARCH_SECONDS:
            self._add_live()
        notices = []
        for key, watched in list(self._watched.items()):
            # Tested before the journal is read: a run journals its end before it releases its lock.
            live = watched.run.is_live()
            try:
                with watched.journal.snapshot():
                    version = watched.journal.version()
                    if version != watched.version:
                        watched.version = version
                        self._count(watched)
                        notices += self._notices(watched)
                if not live:
                    del self._watched[key]
                    notices += [self._end(watched.run)] if watched.notices else []
            except LooptopError as error:
                self._watched.pop(key, None)
                notices += [Notice(str(error), "error")] if watched.notices else []
        return notices

    def _count(self, watched: _Watched) -> None:
        if count := watched.journal.alerts():
            self._alerts[watched.run.id] = count

    @staticmethod
    def _notices(watched: _Watched) -> list[Notice]:
        fresh = watched.journal.events(watched.event)
        if fresh:
            watched.event = fresh[-1].id
        changes = watched.journal.states()[watched.states :]
        watched.states += len(changes)
        if not watched.notices:
            return []
        sentences = [event.text for event in fresh if event.kind in ALERTS]
        sentences += [change.reason for change in changes if hit_breakpoint(change.cause)]
        return [Notice(f"{watched.run.id}: {text}", "warning") for text in sentences]

    @staticmethod
    def _end(run: RunFolder) -> Notice:
        journal = Journal(run.db)
        state, (_, reason) = run.state(), journal.state()
        why = why_interrupted(run) if state is RunState.INTERRUPTED else reason
        return Notice(
            f"{run.id} {state_text(state, journal.alerts())}" + (f": {why}" if why else ""),
            _SEVERITY.get(state, "information"),
        )
