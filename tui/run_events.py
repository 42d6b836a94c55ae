"""Notices about runs, whichever screen is open: a run ended, failed, raised an alert or hit a breakpoint."""

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
    """Follows runs; may be called from any thread, but from one at a time."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}

    def add(self, run: RunFolder) -> None:
        """Follows a run from now on, if it is live; earlier events give no notices."""
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
    def is_empty(self) -> bool:
        """Whether there is no run to follow."""
        return not self._watched

    def poll(self) -> list[Notice]:
        """Notices of what has happened since the last call."""
        notices = []
        for key, watched in list(self._watched.items()):
            # Tested before the journal is read: a run journals its end before it releases its lock.
            live = watched.run.is_live()
            try:
                with watched.journal.snapshot():
                    version = watched.journal.version()
                    if version != watched.version:
                        watched.version = version
                        notices += self._alerts(watched)
                if not live:
                    del self._watched[key]
                    notices.append(self._end(watched.run))
            except LooptopError as error:
                self._watched.pop(key, None)
                notices.append(Notice(str(error), "error"))
        return notices

    @staticmethod
    def _alerts(watched: _Watched) -> list[Notice]:
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
