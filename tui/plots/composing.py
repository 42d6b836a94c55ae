"""Makes the data of a chart from what was read of one run or several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from looptop.engine.journal.reader import Point, Series
from looptop.engine.journal.step_positions import STEPS_ONLY, StepPositions, Unit
from looptop.engine.text import visible
from looptop.tui.plots.chart_data import AxisMark, ChartData, Entry, Level, MarkKind, WallData
from looptop.tui.plots.curves import FAINT, FIRST, ROLES, Curve, averages, envelope, numbers
from looptop.tui.plots.spec import ChartSpec, Line
from looptop.tui.plots.view import Span, View, rounded_up
from looptop.tui.text import number, short_number

FEW_POINTS = 24
"""Up to this many points of a line, each is marked."""


@dataclass(frozen=True)
class RunCurves:
    """What charts show of one run.

    Attributes:
        id: The run.
        series: The curve of each metric, by its name.
        points: The value of each metric at the cursor; without a cursor, the last one that is shown.
        step_positions: Where its steps are on the horizontal axis; None if the run records nothing usable for its unit.
        first: Its first step.
        last: Its last step.
        evaluations: The steps after which it was evaluated.
        checkpoints: The steps after which a checkpoint was written.
        best: The step of the best checkpoint; None if that is not known.
        levels: Lines to compare a metric with, by its name.
        units: The units of the horizontal axis that it journals.
        live: Whether more is to come.
        total: How many steps there will be; 0 if that is not known.
    """

    id: str
    series: Mapping[str, Series] = field(default_factory=dict)
    points: Mapping[str, Point] = field(default_factory=dict)
    step_positions: StepPositions | None = STEPS_ONLY
    first: int = 0
    last: int = 0
    evaluations: tuple[int, ...] = ()
    checkpoints: tuple[int, ...] = ()
    best: int | None = None
    levels: Mapping[str, tuple[Level, ...]] = field(default_factory=dict)
    units: tuple[Unit, ...] = ("step",)
    live: bool = False
    total: int = 0

    def position(self, step: float) -> float:
        """The position of a step on the horizontal axis."""
        return step if self.step_positions is None else self.step_positions.position(step)

    def positions(self, steps: Sequence[float]) -> Sequence[float]:
        """The positions of steps on the horizontal axis."""
        if self.step_positions is None or self.step_positions == STEPS_ONLY:
            return steps
        return [self.step_positions.position(step) for step in steps]


def compose_wall(
    specs: Sequence[ChartSpec],
    runs: Sequence[RunCurves],
    view: View,
    *,
    front: int = -1,
    figures: Mapping[str, float | None] | None = None,
) -> WallData:
    """The data of all charts of a wall.

    Args:
        specs: The charts whose data were read.
        runs: The runs; the first is the screen's own, the others are laid over it.
        view: The view that the data were read for.
        front: The index of a highlighted run, while the others are faint; -1 for none.
        figures: The first run's values at the cursor, by metric, if the screen knows them better.
    """
    if not runs:
        return WallData(view=view)
    main = runs[0]
    first_role = max((len(spec.lines) for spec in specs), default=1)
    return WallData(
        charts={
            spec.key: compose(spec, runs, first_role=first_role, front=front, weight=view.weight, figures=figures)
            for spec in specs
        },
        whole=_whole(runs),
        step_positions=main.step_positions or STEPS_ONLY,
        view=view if main.step_positions is not None else replace(view, unit="step"),
        units=main.units,
        steps=max(1, main.last - main.first),
    )


def _whole(runs: Sequence[RunCurves]) -> Span:
    """The range of all runs. A live one ends at a round number, so that the axis seldom changes."""
    last = max(1, *(run.last for run in runs if run.step_positions == STEPS_ONLY), runs[0].last)
    main = runs[0]
    if main.live:
        last = min(round(rounded_up(last)), max(main.total, last))
    # Most runs begin at step 1: a chart that begins at 0 is easier to read.
    first = main.first if main.first > last // 10 else min(main.first, 0)
    ends = [run.position(run.last) for run in runs[1:] if run.step_positions is not None]
    return Span(main.position(first), max([main.position(last), *ends]))


def compose(
    spec: ChartSpec,
    runs: Sequence[RunCurves],
    *,
    first_role: int = 1,
    front: int = -1,
    weight: float = 0.0,
    figures: Mapping[str, float | None] | None = None,
) -> ChartData:
    """The data of a chart. Lines of few points, as of evaluations, are not smoothed.

    Args:
        spec: The chart.
        runs: The runs; the first is the screen's own, the others are laid over it.
        first_role: The index in `ROLES` of the first run that is laid over, which has one colour for all its curves.
        front: The index of a highlighted run, while the others are faint; -1 for none.
        weight: The weight of the smoothing; 0 for none.
        figures: The first run's values at the cursor, by metric, if the screen knows them better.
    """
    curves: list[Curve] = []
    entries: list[Entry] = []
    main, smoothed = runs[0] if runs else RunCurves(""), False
    # Drawn last is on top: the screen's own run, or the one in front.
    for index in sorted(range(len(runs)), key=lambda each: (each == front, -each)):
        run = runs[index]
        if run.step_positions is None:
            continue
        for line in _drawing_order(spec.lines):
            role = _role(line, index, first_role, front)
            name = visible(line.label if len(runs) == 1 else "" if line.dots else run.id)
            drawn = _line_curves(run, line, role, name, weight if role != FAINT else 0.0)
            smoothed = smoothed or len(drawn) > 1
            curves += drawn
    if spec.spread and main.step_positions is not None:
        curves[:0] = _spread(main, spec, weight)
    for index, run in enumerate(runs):
        for line in spec.lines if index == 0 or len(runs) == 1 else spec.lines[:1]:
            value = figures.get(line.metric) if figures and index == 0 else _value(run, line.metric)
            label = line.label if index == 0 and len(spec.lines) > 1 else (run.id if len(runs) > 1 else line.label)
            figure = _figure(value, spec)
            if not (line.dots and figure == "·" and len(runs) > 1):
                entries.append(Entry(visible(label), _role(line, index, first_role, front), line.dots, figure))
    levels = [level for line in spec.lines for level in main.levels.get(line.metric, ())]
    if spec.target is not None and curves:
        levels.append(Level(spec.target, ""))
    spread = (figures or {}).get(spec.spread) if figures else _value(main, spec.spread)
    spread_text = short_number(spread)
    return ChartData(
        curves=tuple(curves),
        levels=tuple(dict.fromkeys(levels)) if curves else (),
        marks=_marks(main),
        lowest=spec.lowest,
        highest=spec.highest,
        linear=spec.lowest is not None and spec.lowest <= 0,
        entries=tuple(entries),
        spread=spread_text if spec.spread and spread_text != "·" else "",
        target=f" of {spec.target:g}" if spec.target is not None else "",
        smoothed=weight if smoothed else 0.0,
    )


def _drawing_order(lines: Sequence[Line]) -> list[Line]:
    """The most important line on top of the others, and those of few points below: their points are drawn last."""
    backwards = list(reversed(lines))
    return [line for line in backwards if line.dots] + [line for line in backwards if not line.dots]


def _role(line: Line, index: int, first_role: int, front: int) -> int:
    """The role of a run's line: its own in the first run, one for all lines in each other run."""
    if front >= 0:
        return (line.role if index == 0 else FIRST) if index == front else FAINT
    return line.role if index == 0 else ROLES[(first_role + index - 1) % len(ROLES)]


def _line_curves(run: RunCurves, line: Line, role: int, name: str, weight: float) -> list[Curve]:
    series = run.series.get(line.metric)
    if series is None or not series.steps:
        return []
    raw_steps, raw_values = envelope(series)
    raw = run.positions(raw_steps)
    if line.dots or not weight or not series.smoothed:
        return [Curve(role, raw, raw_values, line.dots or len(series.steps) <= FEW_POINTS, name)]
    steps, values = averages(series)
    # The raw curve stays visible behind, with the peaks that smoothing removes.
    return [Curve(FAINT, raw, raw_values), Curve(role, run.positions(steps), values, False, name)]


def _spread(run: RunCurves, spec: ChartSpec, weight: float) -> list[Curve]:
    """Lines at one standard deviation above and below the first line."""
    mean, spread = run.series.get(spec.lines[0].metric), run.series.get(spec.spread)
    if mean is None or spread is None:
        return []
    (steps, middle), (around_steps, around) = (
        averages(each) if weight and each.smoothed else (each.steps, numbers(each.mean)) for each in (mean, spread)
    )
    if list(steps) != list(around_steps):
        return []
    xs = run.positions(steps)
    return [
        Curve(FAINT, xs, [value + sign * wide for value, wide in zip(middle, around, strict=True)]) for sign in (-1, 1)
    ]


def _value(run: RunCurves, metric: str) -> float | None:
    point = run.points.get(metric)
    return None if point is None else math.nan if point.value is None else point.value


def _figure(value: float | None, spec: ChartSpec) -> str:
    if spec.percent and value is not None and math.isfinite(value):
        return f"{100 * value:.1f}%"
    if spec.decimals is None and value is not None and math.isfinite(value):
        return number(value)
    return short_number(value, spec.decimals or 2)


def _marks(run: RunCurves) -> tuple[AxisMark, ...]:
    kinds: list[tuple[MarkKind, Sequence[int]]] = [
        ("evaluation", run.evaluations),
        ("checkpoint", run.checkpoints),
        ("best", [run.best] if run.best is not None else []),
    ]
    return tuple(AxisMark(run.position(step), kind) for kind, steps in kinds for step in steps)
