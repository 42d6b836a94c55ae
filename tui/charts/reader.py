"""Reads the data for the charts of one run or several: only what is shown, and only if it has changed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Event, Journal, Point, Series
from looptop.engine.runs.about import About
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.tui.screens.watch import RunWatcher

MAX_EVENTS = 50
"""How many of a run's last events are shown at most."""


@dataclass(frozen=True)
class Head:
    """What the lines around the charts show of a run."""

    id: str
    about: About
    state: RunState
    reason: str
    live: str
    """As in `RunFolder.live_by`."""
    facts: dict[str, Any]
    latest: dict[str, Point]
    events: tuple[Event, ...]
    error: str = ""
    """Why the run cannot be read; empty if it can."""
    alerts: int = 0

    @property
    def step(self) -> int:
        """The last step of any metric."""
        return max((point.step for point in self.latest.values()), default=0)

    @property
    def total_steps(self) -> int:
        """How many steps there will be; 0 if unknown."""
        total = self.facts.get("total_steps")
        return int(total) if isinstance(total, int | float) and total > 0 else 0


@dataclass(frozen=True)
class Window:
    """The steps that are shown; None for no limit."""

    first: int | None = None
    last: int | None = None


@dataclass(frozen=True)
class ChartsSnapshot:
    """The data of all runs at one moment."""

    heads: tuple[Head, ...]
    names: tuple[str, ...]
    """The metrics of all runs, those of the first run first."""
    series: dict[tuple[str, str], Series] = field(default_factory=dict)
    """The curve of each metric and run."""
    window: Window = Window()
    ends: dict[tuple[str, str], Point] = field(default_factory=dict)
    """The last value of each metric and run within the window."""
    first: int = 0
    """The first and the last step that any run has."""
    last: int = 1


class _OneRun(RunWatcher):
    """Reads one run."""

    def __init__(self, run: RunFolder) -> None:
        self.journal = Journal(run.db)
        super().__init__(run, self.journal, MAX_EVENTS)
        self._asked: tuple[int, Window, float] | None = None
        self._series: dict[str, tuple[Point, Series]] = {}
        self._ends: dict[str, Point | None] = {}

    def head(self) -> Head:
        live = self.run.live_by()
        about = self.run.about()
        try:
            _, outline = self.refresh()
        except LooptopError as error:
            return Head(self.run.id, about, RunState.INTERRUPTED, "", live, {}, {}, (), str(error))
        return Head(
            self.run.id,
            about,
            outline.state.observed(bool(live)),
            outline.reason,
            live,
            outline.facts,
            outline.latest,
            self.events,
            alerts=outline.alerts,
        )

    def series(
        self, head: Head, names: Sequence[str], columns: int, window: Window, weight: float
    ) -> dict[str, Series]:
        if self._asked != (columns, window, weight):
            self._asked = (columns, window, weight)
            self._series.clear()
            self._ends.clear()
        for name in names:
            latest = head.latest.get(name)
            if latest is None:
                self._series.pop(name, None)
                continue
            known = self._series.get(name)
            if known is None or known[0] != latest:
                with contextlib.suppress(LooptopError):
                    series = self.journal.series(name, columns, window.first, window.last)
                    self._series[name] = (latest, self.journal.smoothed(name, series, weight, window.last))
                    if window.last is not None and latest.step > window.last:
                        self._ends[name] = self.journal.last_until(name, window.last)
        return {name: self._series[name][1] for name in names if name in self._series}

    def ends(self, head: Head, names: Sequence[str], window: Window) -> dict[str, Point]:
        """The last value of each metric within the window."""
        ends = {name: self._ends.get(name, head.latest.get(name)) for name in names}
        first = -(2**63) if window.first is None else window.first
        return {name: point for name, point in ends.items() if point is not None and point.step >= first}


class ChartReader:
    """Reads the runs; may be called from any thread, but from one at a time."""

    def __init__(self, runs: Sequence[RunFolder]) -> None:
        self.runs = tuple(runs)
        self._readers = [_OneRun(run) for run in runs]
        self._last: ChartsSnapshot | None = None

    def poll(self, names: Sequence[str], columns: int, window: Window, weight: float = 0.0) -> ChartsSnapshot:
        """The current data; the same object as last time if nothing has changed.

        Args:
            names: The metrics that are on the screen.
            columns: The width of each chart, in columns.
            window: The steps that are on the screen.
            weight: The weight of the curves' smoothing; 0 for none.
        """
        heads = tuple(reader.head() for reader in self._readers)
        series = {
            (name, reader.run.id): one
            for reader, head in zip(self._readers, heads, strict=True)
            for name, one in reader.series(head, names, columns, window, weight).items()
        }
        ends = {
            (name, reader.run.id): point
            for reader, head in zip(self._readers, heads, strict=True)
            for name, point in reader.ends(head, names, window).items()
        }
        starts = [one.steps[0] for one in series.values() if one.steps]
        last = max([1, *(head.step for head in heads)])
        first = min(starts, default=0) if window.first is None else 0
        snapshot = ChartsSnapshot(
            heads=heads,
            names=tuple(dict.fromkeys(name for head in heads for name in head.latest)),
            series=series,
            window=window,
            ends=ends,
            # Most runs begin at step 1: a chart that begins at 0 is easier to read.
            first=first if first > last // 10 else 0,
            last=last,
        )
        if snapshot != self._last:
            self._last = snapshot
        return self._last
