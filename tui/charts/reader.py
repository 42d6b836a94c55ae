"""Reads the data for the charts of one run or several: only what is shown, and curves only if they have changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Event, Journal, Outline, Point, total_steps
from looptop.engine.runs.about import About
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.tui.plots.composing import RunCurves
from looptop.tui.screens.curve_reader import CurveReader, CurveRequest, read_overlaid
from looptop.tui.screens.watch import RunWatcher

MAX_EVENTS = 50
"""How many of a run's last events are shown at most."""

FIRST_METRICS = ("loss", "eval_loss", "eval_accuracy", "eval_reward")
"""The metrics that come first; then the others of evaluations."""

EVALUATION_SPEED_SUFFIXES = ("_runtime", "_samples_per_second", "_steps_per_second", "_model_preparation_time")
"""The ends of the names of metrics that Trainer logs about an evaluation's speed; they come last."""


@dataclass(frozen=True)
class RunOverview:
    """What the lines around the charts show of a run."""

    id: str
    about: About
    state: RunState
    reason: str
    live_by: str
    """`lock`, or `heartbeat` (on another host); empty if it is not live."""
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
        return total_steps(self.facts)


@dataclass(frozen=True)
class ChartsSnapshot:
    """The data of the charted runs at one moment."""

    overviews: tuple[RunOverview, ...]
    names: tuple[str, ...]
    """Their metrics, in the order of their charts."""
    runs: tuple[RunCurves, ...]
    request: CurveRequest
    """The request that `runs` answers."""


class _RunReader(RunWatcher):
    """Reads one run."""

    def __init__(self, run: RunFolder) -> None:
        journal = Journal(run.db)
        super().__init__(run, journal, MAX_EVENTS)
        self.curves = CurveReader(run, journal)
        self.outline: Outline | None = None

    def refresh_overview(self) -> RunOverview:
        """Reads what has changed; sets `outline`, to None if the journal cannot be read."""
        live = self.run.live_by()
        about = self.run.about()
        try:
            _, self.outline = self.refresh()
        except LooptopError as error:
            self.outline = None
            state = RunState.RUNNING if live else RunState.INTERRUPTED
            return RunOverview(self.run.id, about, state, "", live, {}, {}, (), str(error))
        outline = self.outline
        return RunOverview(
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


class ChartReader:
    """Reads the runs; may be called from any thread, but from one at a time."""

    def __init__(self, runs: Sequence[RunFolder]) -> None:
        self.runs = tuple(runs)
        self._readers = [_RunReader(run) for run in runs]
        self._last: ChartsSnapshot | None = None

    def poll(self, request: CurveRequest) -> ChartsSnapshot:
        """The current data; the same object as last time if neither the runs nor the request has changed."""
        overviews = tuple(reader.refresh_overview() for reader in self._readers)
        curves: list[RunCurves] = []
        for reader in self._readers:
            run = None
            if reader.outline is not None and curves and curves[0].last:
                run = read_overlaid(reader, reader.curves, curves[0], request)
            elif reader.outline is not None:
                run = reader.curves.read(reader.outline, request, reader.settings)
            curves.append(run or RunCurves(reader.run.id))
        snapshot = ChartsSnapshot(
            overviews=overviews,
            names=ordered_metrics(name for overview in overviews for name in overview.latest),
            runs=tuple(curves),
            request=request,
        )
        if snapshot != self._last:
            self._last = snapshot
        return self._last


def ordered_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """The metrics in the order of their charts: the loss and what evaluations measure first, their speed last."""

    def rank(name: str) -> int:
        if name in FIRST_METRICS:
            return FIRST_METRICS.index(name)
        if not name.startswith("eval_"):
            return len(FIRST_METRICS) + 1
        return len(FIRST_METRICS) + 2 if name.endswith(EVALUATION_SPEED_SUFFIXES) else len(FIRST_METRICS)

    return tuple(sorted(dict.fromkeys(names), key=rank))
