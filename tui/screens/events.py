"""The events of a run, or of several, as an overlay, each with its time, its level and its whole text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from looptop.engine.journal.reader import Event, Journal
from looptop.engine.runs.folder import RunFolder
from looptop.tui.screens.base import MainScreen
from looptop.tui.screens.entries import Entries
from looptop.tui.widgets.entries import Entry
from looptop.tui.widgets.events_panel import entry_of


def show_events(screen: MainScreen, runs: Sequence[RunFolder]) -> None:
    """Opens the events of runs, over a screen; the alerts of these runs count as read."""
    for run in runs:
        screen.services.alerts_read(run)
    screen.app.push_screen(Entries(EventSource(runs)))


class EventSource:
    """The events of runs, in the order of their times.

    Args:
        runs: The runs.
    """

    id = "all-events"
    empty = "nothing yet"
    note = ""
    is_whole = True

    def __init__(self, runs: Sequence[RunFolder]) -> None:
        self.title = f"Events of {', '.join(run.id for run in runs[:3])}{', …' if len(runs) > 3 else ''}"
        self._journals = [(run.id, Journal(run.db)) for run in runs]
        self._versions: list[int] = []
        self._entries: Sequence[Entry] = ()

    def read(self) -> Sequence[Entry]:
        """The entries; the same object if nothing has changed."""
        versions = [journal.version() for _, journal in self._journals]
        if versions != self._versions:
            events = [(name, event) for name, journal in self._journals for event in journal.events()]
            events.sort(key=lambda each: -math.inf if math.isnan(each[1].time) else each[1].time)
            self._entries = [self._entry(name, event) for name, event in events if not event.superseded]
            self._versions = versions
        return self._entries

    def _entry(self, name: str, event: Event) -> Entry:
        return entry_of(event, name if len(self._journals) > 1 else "")
