"""Notices about runs, whichever screen is open, and the lasting sign that live runs have alerts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue

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
    version: int = -1
    event: int = 0
    states: int = 0


class RunEvents:
    """Follows runs: those that were shown or started here with notices, other live ones only for their alerts.

    `follow` and `mark_read` read no file and may be called from any thread, at any time: the next `poll` does what they
    ask for, before anything else. So `poll`, which one thread at a time may call, is the only one that changes what is
    followed.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._watched: dict[str, _Watched] = {}
        self._noticed: set[str] = set()
        """Runs that give notices whenever they are live: they were shown or started here."""
        self._alerts: dict[str, int] = {}
        """The number of alerts of each run that has some, by its id."""
        self._seen: dict[str, int] = {}
        """How many alerts of a run were read."""
        self._searched = float("-inf")

    def follow(self, run: RunFolder, *, started: bool = False) -> None:
        """From now on, notices of what happens to a run; what happened before gives none.

        Args:
            run: The run.
            started: Whether it was started or resumed here; then its end gives a notice even if it has ended already.
        """
        self._asked.put(partial(self._follow, run, started))

    def mark_read(self, run: RunFolder) -> None:
        """The alerts that the run has now were read."""
        self._asked.put(partial(self._mark_read, run))

    def _follow(self, run: RunFolder, started: bool) -> None:
        self._noticed.add(str(run.path))
        self._watch(run, even_ended=started)

    def _mark_read(self, run: RunFolder) -> None:
        if run.id in self._alerts:
            self._seen[run.id] = self._alerts[run.id]

    def _watch(self, run: RunFolder, *, even_ended: bool = False) -> None:
        key = str(run.path)
        if key not in self._watched and (run.is_live() or even_ended):
            watched = _Watched(run, Journal(run.db))
            try:
                with watched.journal.snapshot():
                    watched.version = watched.journal.version()
                    watched.event = max((event.id for event in watched.journal.events()), default=0)
                    watched.states = len(watched.journal.states())
                    self._count(watched)
            except LooptopError:
                return
            self._watched[key] = watched

    def _watch_live(self) -> None:
        """Follows the live runs of this home, wherever they were started."""
        for run in RunFolder.all():
            try:
                recent = time.time() - run.lock.stat().st_mtime < BEATS_WITHIN
            except OSError:
                continue
            if recent:
                self._watch(run)
        self._searched = time.monotonic()

    @property
    def is_empty(self) -> bool:
        """Whether there is no run to follow."""
        return not self._watched

    @property
    def alerts(self) -> Mapping[str, int]:
        """The alerts that were not read yet, of runs that are live or have ended since: how many, by the run's id."""
        return {name: count for name, count in self._alerts.items() if count > self._seen.get(name, 0)}

    def poll(self) -> list[Notice]:
        """Notices of what has happened since the last call. Also searches for live runs, every few seconds."""
        while not self._asked.empty():
            self._asked.get()()
        if time.monotonic() - self._searched >= SEARCH_SECONDS:
            self._watch_live()
        notices = []
        for key, watched in list(self._watched.items()):
            # Tested before the journal is read: a run journals its end before it releases its lock.
            live, fresh = watched.run.is_live(), list[Notice]()
            try:
                with watched.journal.snapshot():
                    version = watched.journal.version()
                    if version != watched.version:
                        watched.version = version
                        self._count(watched)
                        fresh = self._notices(watched)
                if not live:
                    del self._watched[key]
                    fresh.append(self._end(watched.run))
            except LooptopError as error:
                self._watched.pop(key, None)
                fresh.append(Notice(str(error), "error"))
            notices += fresh if key in self._noticed else []
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
