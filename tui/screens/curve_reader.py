"""Reads what charts show of runs: only the metrics, the steps and the columns that are on the screen."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from looptop.engine.errors import LooptopError
from looptop.engine.journal.decode import result_step
from looptop.engine.journal.reader import Journal, Outline, Point, Series, total_steps
from looptop.engine.journal.records import RunState
from looptop.engine.journal.step_positions import STEPS_ONLY, StepPositions, Unit
from looptop.engine.runs.alerts import QUESTION_ONLY
from looptop.engine.runs.folder import RunFolder
from looptop.tui.plots.chart_data import Level
from looptop.tui.plots.composing import RunCurves
from looptop.tui.plots.view import Span, View
from looptop.tui.screens.watch import RunWatcher

READ_INTERVAL_SECONDS = 1.9
"""Seconds between two readings of a running run's curves, at least: reading and drawing them is the largest part of a
screen's work, and of what it sends to the terminal."""

KEPT_VIEWS = 4
"""How many views' curves are kept, so that the way back from a zoom or a large chart reads nothing."""


@dataclass(frozen=True)
class CurveRequest:
    """What is on the screen.

    Attributes:
        names: The metrics.
        columns: The columns in which to read each curve.
        view: The window, the smoothing and the unit of the axis.
        cursor: The step under the reading cursor; None if there is none.
    """

    names: tuple[str, ...]
    columns: int
    view: View
    cursor: int | None = None


class _KeptSeries(NamedTuple):
    """The curve of a metric as it was last read."""

    last: Point
    """Its last point then."""
    plain: Series
    weight: float
    smoothed: Series
    """The series with averages of this weight."""


class CurveReader:
    """Reads one run's curves; may be called from any thread, but from one at a time."""

    def __init__(self, run: RunFolder, journal: Journal) -> None:
        self.run = run
        self.is_late = False
        """Whether the journal has points that the last reading left out."""
        self._journal = journal
        self._read_at = -math.inf
        self._view_key: object = None
        """The columns and the window of the last reading."""
        self._series: dict[str, _KeptSeries] = {}
        self._kept_by_view: dict[object, dict[str, _KeptSeries]] = {}
        """What was read for the last views (`_view_key`), the newest last."""
        self._step_positions: dict[Unit, tuple[object, StepPositions | None]] = {}
        self._first_step = 0
        self._evaluations: tuple[Point | None, tuple[int, ...]] = (None, ())
        self._levels: dict[str, tuple[Level, ...]] | None = None

    def read(
        self, outline: Outline, request: CurveRequest, settings: Mapping[str, Any], shown_span: Span | None = None
    ) -> RunCurves:
        """The run's curves.

        Args:
            outline: The run's outline, of the same moment.
            request: What is on the screen.
            settings: The run's configuration.
            shown_span: For a run that is laid over another: the positions that are shown, if they are not all.

        Raises:
            LooptopError: The journal cannot be read.
        """
        latest = outline.latest
        running = outline.state is RunState.RUNNING
        now = time.monotonic()
        is_recent = running and now - self._read_at < READ_INTERVAL_SECONDS
        step_positions = self._step_positions_of(latest, request.view.unit, is_recent)
        window = request.view.window if shown_span is None else _to_steps(step_positions, shown_span)
        view_key = (request.columns, window)
        too_early = is_recent and view_key == self._view_key
        if not too_early:
            self._read_at = now
        if view_key != self._view_key:
            self._view_key = view_key
            self._series = self._kept_by_view.pop(view_key, {})
            self._kept_by_view[view_key] = self._series
            for old in list(self._kept_by_view)[:-KEPT_VIEWS]:
                del self._kept_by_view[old]
        series = self._all_series(latest, request, window, too_early)
        if window is None:
            self._first_step = min((each.steps[0] for each in series.values() if each.steps), default=0)
        cursor = request.cursor
        best = result_step(outline.facts)
        evaluations = self._evaluation_steps(latest)
        return RunCurves(
            id=self.run.id,
            series=series,
            points=self._points(latest, request.names, cursor, window),
            step_positions=step_positions,
            first=self._first_step,
            last=max((point.step for point in latest.values()), default=0),
            evaluations=evaluations,
            checkpoints=tuple(self._journal.checkpoint_steps()),
            best=self._best_evaluation(latest, settings, evaluations) if best is None else best,
            levels=self._levels_of(outline),
            units=("step", "epoch", "time") if "epoch" in latest else ("step", "time"),
            live=not outline.state.ended,
            total=total_steps(outline.facts),
        )

    def _all_series(
        self, latest: Mapping[str, Point], request: CurveRequest, window: Span | None, too_early: bool
    ) -> dict[str, Series]:
        first, last = (None, None) if window is None else (math.floor(window.first), math.ceil(window.last))
        self.is_late = False
        for name in request.names:
            if name not in latest:
                self._series.pop(name, None)
                continue
            known = self._series.get(name)
            is_old = known is not None and known.last != latest[name]
            self.is_late = self.is_late or (is_old and too_early)
            with contextlib.suppress(LooptopError):
                if known is None or (is_old and not too_early):
                    plain = self._journal.series(name, request.columns, first, last)
                    if first is not None and last is not None:
                        plain = self._with_neighbours(name, plain, first, last)
                    known = _KeptSeries(latest[name], plain, 0.0, plain)
                weight = request.view.weight
                if known.weight != weight:
                    known = known._replace(
                        weight=weight, smoothed=self._journal.smoothed(name, known.plain, weight, last)
                    )
                self._series[name] = known
        return {name: self._series[name].smoothed for name in request.names if name in self._series}

    def _with_neighbours(self, name: str, series: Series, first: int, last: int) -> Series:
        """The series with the point before and the one after its window, so that the curve goes on to the edges."""
        before, after = self._journal.last_until(name, first - 1), next(iter(self._journal.values(name, last, 1)), None)
        return _join_series([_point_series(before), series, _point_series(after)])

    def _step_positions_of(self, latest: Mapping[str, Point], unit: Unit, too_early: bool) -> StepPositions | None:
        if unit == "step":
            return STEPS_ONLY
        name = "loss" if "loss" in latest else max(latest, key=lambda each: latest[each].step, default="")
        made_of = (unit, name, latest.get(name))
        known = self._step_positions.get(unit)
        if known is None or (known[0] != made_of and not too_early):
            known = self._step_positions[unit] = (made_of, self._journal.step_positions(unit, name))
        return known[1]

    def _points(
        self, latest: Mapping[str, Point], names: Sequence[str], cursor: int | None, window: Span | None
    ) -> dict[str, Point]:
        """The values at the cursor, or the last ones within the window."""
        last = cursor if cursor is not None else None if window is None else math.ceil(window.last)
        points: dict[str, Point] = {}
        for name in names:
            point = latest.get(name)
            if point is not None and last is not None and point.step > last:
                point = self._journal.last_until(name, last)
            if point is not None and (window is None or cursor is not None or point.step >= window.first):
                points[name] = point
        return points

    def _evaluation_steps(self, latest: Mapping[str, Point]) -> tuple[int, ...]:
        name = "eval_loss" if "eval_loss" in latest else next((each for each in latest if each.startswith("eval_")), "")
        point = latest.get(name)
        if point != self._evaluations[0]:
            steps = tuple(each.step for each in self._journal.values(name)) if point is not None else ()
            self._evaluations = (point, steps)
        return self._evaluations[1]

    def _best_evaluation(
        self, latest: Mapping[str, Point], settings: Mapping[str, Any], evaluations: Sequence[int]
    ) -> int | None:
        """The step of the best evaluation so far, by the metric that chooses the best checkpoint."""
        training = settings.get("training")
        chosen = training.get("metric_for_best_model") if isinstance(training, dict) else None
        name = f"eval_{chosen}" if isinstance(chosen, str) else "eval_reward" if "eval_reward" in latest else ""
        if name not in latest or len(evaluations) < 2:
            return None
        values = [(each.value, each.step) for each in self._journal.values(name) if each.value is not None]
        if not values:
            return None
        best = min if name.endswith("loss") else max
        return best(values, key=lambda each: each[0])[1]

    def _levels_of(self, outline: Outline) -> dict[str, tuple[Level, ...]]:
        """The loss before training, and the accuracy of answering from the question alone."""
        if self._levels is None or (not self._levels and "eval_loss" in outline.latest):
            self._levels = {}
            start = self._journal.values("eval_loss", -1, 1) if "eval_loss" in outline.latest else []
            if start and start[0].step == 0 and start[0].value is not None:
                level = Level(start[0].value, "before training")
                self._levels |= {"loss": (level,), "eval_loss": (level,)}
        question_only = outline.facts.get(QUESTION_ONLY)
        if isinstance(question_only, float) and math.isfinite(question_only):
            return self._levels | {"eval_accuracy": (Level(question_only, "question only", percent=True),)}
        return self._levels


class OverlaidRuns:
    """Runs that are laid over a screen's own run; may be called from any thread, but from one at a time."""

    def __init__(self) -> None:
        self._readers: list[tuple[RunWatcher, CurveReader]] = []

    @property
    def runs(self) -> tuple[RunFolder, ...]:
        """The runs."""
        return tuple(watcher.run for watcher, _ in self._readers)

    def toggle(self, run: RunFolder) -> None:
        """Lays a run over the screen's own, or takes it away."""
        if run in self.runs:
            self._readers = [each for each in self._readers if each[0].run != run]
        else:
            journal = Journal(run.db)
            self._readers = [*self._readers, (RunWatcher(run, journal), CurveReader(run, journal))]

    def read(self, main: RunCurves, request: CurveRequest) -> list[RunCurves]:
        """The curves of all runs; one that cannot be read has none.

        Args:
            main: The screen's own run, whose window and cursor the request has.
            request: What is on the screen.
        """
        return [run for watcher, reader in self._readers if (run := read_overlaid(watcher, reader, main, request))]


def read_overlaid(watcher: RunWatcher, reader: CurveReader, main: RunCurves, request: CurveRequest) -> RunCurves | None:
    """The curves of a run that is laid over another: at the same positions of the axis, not at the same steps."""
    window, cursor = request.view.window, request.cursor
    shown_span = None if window is None else Span(main.position(window.first), main.position(window.last))
    try:
        _, outline = watcher.refresh()
        curves = reader.read(outline, request, watcher.settings, shown_span)
        if cursor is None or request.view.unit == "step" or curves.step_positions is None:
            return curves
        own_cursor = round(curves.step_positions.step(main.position(cursor)))
        own = CurveRequest(request.names, request.columns, request.view, own_cursor)
        return reader.read(outline, own, watcher.settings, shown_span)
    except LooptopError:
        return None


def _point_series(point: Point | None) -> Series:
    if point is None:
        return Series([], [], [], [], [])
    values = [point.value]
    return Series([point.step], values, values, values, [int(point.value is None)])


def _join_series(parts: Sequence[Series]) -> Series:
    """The columns of these series, one after the other."""
    return Series(
        [step for part in parts for step in part.steps],
        [value for part in parts for value in part.mean],
        [value for part in parts for value in part.minimum],
        [value for part in parts for value in part.maximum],
        [count for part in parts for count in part.missing],
    )


def _to_steps(positions: StepPositions | None, shown_span: Span) -> Span:
    return shown_span if positions is None else Span(positions.step(shown_span.first), positions.step(shown_span.last))
