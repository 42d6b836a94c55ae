"""The events of a run, or of several, as an overlay: each with its time, its level and its whole text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from looptop.engine.journal.reader import Event, Journal
from looptop.engine.runs.folder import RunFolder
from looptop.tui.screens.base import Services
from looptop.tui.screens.entries import Entries
from looptop.tui.widgets.entries import Entry
from looptop.tui.widgets.events_panel import entry_of


class Events(Entries):
    """The events of runs, in the order of their times.

    Args:
        runs: The runs.
    """

    def __init__(self, runs: Sequence[RunFolder]) -> None:
        names = ", ".join(run.id for run in runs[:3]) + (", …" if len(runs) > 3 else "")
        self._runs = runs
        super().__init__(f"Events of {names}", _Reader(runs).read, "nothing yet")

    def on_mount(self) -> None:
        """Starts to read; the alerts of these runs count as read."""
        super().on_mount()
        for run in self._runs:
            cast("Services", self.app).alerts_read(run)


class _Reader:
    def __init__(self, runs: Sequence[RunFolder]) -> None:
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
