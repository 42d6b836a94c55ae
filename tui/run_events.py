"""Watches runs beside whatever is on the screen, and says in a sentence when one ends, fails, or raises an alert."""

from __future__ import annotations

from dataclasses import dataclass

from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import state_text
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.engine.runs.liveness import why_interrupted
from looptop.engine.runs.notify import ALERTS, hit_breakpoint

_SEVERITY = {RunState.FAILED: "error", RunState.INTERRUPTED: "error", RunState.STOPPED: "warning"}


@dataclass(frozen=True)
class News:
    """Something to say."""

    sentence: str
    severity: str


@dataclass
class _Watched:
    run: RunFolder
    journal: Journal
    version: int = -1
    event: int = 0
    states: int = 0


class Herald:
    """Looks at the runs that it was given; from any thread but one at a time."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}

    def add(self, run: RunFolder) -> None:
        """Watches a run from now on, where it is live; what has happened before is not said."""
        key = str(run.path)
        if key not in self._watched and run.is_live():
            watched = _Watched(run, Journal(run.db))
            try:
                watched.version = watched.journal.version()
                watched.event = max((event.id for event in watched.journal.events()), default=0)
                watched.states = len(watched.journal.states())
            except LooptopError:
                return
            self._watched[key] = watched

    @property
    def idle(self) -> bool:
        """Whether there is nothing to look at."""
        return not self._watched

    def look(self) -> list[News]:
        """What has happened since the last look."""
        news = []
        for key, watched in list(self._watched.items()):
            # Before the journal: a run says how it ended before its lock is free.
            live = watched.run.is_live()
            try:
                with watched.journal.snapshot():
                    version = watched.journal.version()
                    if version != watched.version:
                        watched.version = version
                        news += self._alerts(watched)
                if not live:
                    del self._watched[key]
                    news.append(self._end(watched.run))
            except LooptopError as error:
                self._watched.pop(key, None)
                news.append(News(str(error), "error"))
        return news

    @staticmethod
    def _alerts(watched: _Watched) -> list[News]:
        fresh = watched.journal.events(watched.event)
        if fresh:
            watched.event = fresh[-1].id
        changes = watched.journal.states()[watched.states :]
        watched.states += len(changes)
        said = [event.text for event in fresh if event.kind in ALERTS]
        said += [change.reason for change in changes if hit_breakpoint(change.cause)]
        return [News(f"{watched.run.id}: {text}", "warning") for text in said]

    @staticmethod
    def _end(run: RunFolder) -> News:
        journal = Journal(run.db)
        state, (_, reason) = run.state(), journal.state()
        why = why_interrupted(run) if state is RunState.INTERRUPTED else reason
        return News(
            f"{run.id} {state_text(state, journal.alerts())}" + (f": {why}" if why else ""),
            _SEVERITY.get(state, "information"),
        )
