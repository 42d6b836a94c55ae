"""Curves: their points, their roles, and how a series of values becomes a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from looptop.engine.journal.reader import Series

AXIS, FAINT, FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH, TARGET, MARK = range(1, 11)
"""Roles: what a cell of a chart belongs to. TARGET is where a figure should be, MARK the step under a cursor."""

ROLES = (FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH)
"""Roles of several curves in one chart, in their order."""

ROLE_CLASSES = {
    AXIS: "chart--axis",
    FAINT: "chart--faint",
    FIRST: "chart--first",
    SECOND: "chart--second",
    THIRD: "chart--third",
    FOURTH: "chart--fourth",
    FIFTH: "chart--fifth",
    SIXTH: "chart--sixth",
    TARGET: "chart--target",
    MARK: "chart--mark",
}
"""The component class of each role, from which the style sheets give it a colour."""

MAX_DRAWN_VALUE = 1e30
"""Larger values are drawn here, and values nearer to 0 than its inverse at 0: nobody can read such a scale, and its
arithmetic would overflow."""

ROUNDING_NOISE = 4e-7
"""Values that differ by at most this fraction count as equal: 32-bit numbers round by as much."""

SMOOTHING = (0.0, 0.6, 0.9, 0.97)
"""Weights of the exponential average, through which a key cycles; 0 is no smoothing."""

COLUMNS_PER_POINT = 4
"""Points are marked one by one if each has at least this many columns."""


class Curve(NamedTuple):
    """A line of points; the steps rise."""

    role: int
    steps: Sequence[float]
    values: Sequence[float]
    dots: bool = False
    """Whether each point is marked, which a few points need to be seen."""


class Run(NamedTuple):
    """Neighbouring cells of one line that have the same role."""

    text: str
    role: int


class Axes(NamedTuple):
    """The range of steps and values that a chart shows."""

    first: float
    last: float
    """The range of steps is `first` to `last`."""
    lowest: float | None = None
    highest: float | None = None
    """The range of values is `lowest` to `highest`; None takes it from the data."""
    log: bool = False


def curves_of_runs(
    series_of_runs: Sequence[Series | None], columns: int, weight: float, chosen: int = -1
) -> list[Curve]:
    """The curves of one metric.

    Args:
        series_of_runs: The metric's series in each run; None if the run does not have it.
        columns: The width of the chart, in columns.
        weight: The weight of the smoothing; 0 for none.
        chosen: The index of the highlighted run, while the others are faint; -1 gives each its own colour.
    """
    curves: list[Curve] = []
    order = sorted(
        range(len(series_of_runs)), key=lambda index: index == chosen
    )  # the highlighted run is drawn last, on top
    for index in order:
        series = series_of_runs[index]
        if series is None or not series.steps:
            continue
        role = ROLES[index % len(ROLES)] if chosen < 0 else (FIRST if index == chosen else FAINT)
        few = len(series.steps) * COLUMNS_PER_POINT <= columns
        if weight and series.smoothed and not few:
            if chosen < 0 or index == chosen:
                curves.append(Curve(FAINT, *envelope(series)))
            curves.append(Curve(role, *averages(series)))
        else:
            curves.append(Curve(role, *envelope(series), dots=few))
    return curves


def numbers(values: Sequence[float | None]) -> list[float]:
    """The values, with NaN for None."""
    return [float("nan") if value is None else value for value in values]


def averages(series: Series) -> tuple[list[float], list[float]]:
    """The line of a series' exponential averages."""
    return [step for step, _ in series.smoothed], numbers([value for _, value in series.smoothed])


def envelope(series: Series) -> tuple[list[float], list[float]]:
    """A line through the smallest and largest value of each column, so that no peak is lost."""
    xs: list[float] = []
    ys: list[float] = []
    for step, least, most in zip(series.steps, numbers(series.minimum), numbers(series.maximum), strict=True):
        # The end nearer to the previous point comes first, so that the line crosses the column only once.
        near, far = (most, least) if ys and abs(ys[-1] - most) < abs(ys[-1] - least) else (least, most)
        xs.append(step)
        ys.append(near)
        if far != near:
            xs.append(step)
            ys.append(far)
    return xs, ys


def finite(curve: Curve, log: bool = False) -> Curve:
    """The points with finite values, limited to what a chart can show; with `log`, their logarithms."""
    points = [
        (step, math.log10(max(1 / MAX_DRAWN_VALUE, min(value, MAX_DRAWN_VALUE))) if log else _drawable(value))
        for step, value in zip(curve.steps, curve.values, strict=True)
        if value is not None and math.isfinite(value) and (value > 0 or not log)
    ]
    return curve._replace(steps=[step for step, _ in points], values=[value for _, value in points])


def _drawable(value: float) -> float:
    return 0.0 if abs(value) < 1 / MAX_DRAWN_VALUE else max(-MAX_DRAWN_VALUE, min(value, MAX_DRAWN_VALUE))


def thinned(curve: Curve, first: float, last: float, bins: int) -> Curve:
    """The points of a line that differ on the screen: the first, lowest, highest and last point of each bin.

    Args:
        curve: A curve with finite values.
        first: The step at the left edge.
        last: The step at the right edge.
        bins: The number of bins between the two.
    """
    values, scale = curve.values, bins / (last - first)
    kept: list[int] = []
    for _, at in groupby(range(len(values)), lambda index: math.floor((curve.steps[index] - first) * scale)):
        group = list(at)
        kept += sorted({group[0], min(group, key=values.__getitem__), max(group, key=values.__getitem__), group[-1]})
    return curve._replace(steps=[curve.steps[index] for index in kept], values=[values[index] for index in kept])
