"""Curves: what is drawn, in which role, and how a series of values becomes a line."""

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
"""Values beyond are drawn here, and those nearer to 0 than its inverse at 0: nobody can read such a scale, and its
arithmetic would overflow."""

ROUNDING_NOISE = 4e-7
"""What differs by no more than this share of itself is a constant: it is how 32-bit numbers round."""

SMOOTHING = (0.0, 0.6, 0.9, 0.97)
"""Weights of the exponential average that a key goes through; 0 is none."""

COLUMNS_PER_POINT = 4
"""Points are marked one by one where there is at most one in so many columns."""


class Curve(NamedTuple):
    """A line of points; the steps rise."""

    role: int
    steps: Sequence[float]
    values: Sequence[float]
    dots: bool = False
    """Whether each point is marked, as few points need it."""


class Run(NamedTuple):
    """Cells of one line that belong together."""

    text: str
    role: int


class Axes(NamedTuple):
    """What the chart shows of the plane."""

    first: float
    last: float
    """Steps."""
    lowest: float | None = None
    highest: float | None = None
    """Values; None goes by the data."""
    log: bool = False


def curves_of_runs(
    series_of_runs: Sequence[Series | None], columns: int, weight: float, chosen: int = -1
) -> list[Curve]:
    """The curves of one metric.

    Args:
        series_of_runs: Of each run, None where it has no such metric.
        columns: Of the chart.
        weight: Of the smoothing, 0 for none.
        chosen: The run in front, the others are faint; -1 gives each its own colour.
    """
    curves: list[Curve] = []
    order = sorted(range(len(series_of_runs)), key=lambda index: index == chosen)  # what is in front is drawn last
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
    """NaN where there is none."""
    return [float("nan") if value is None else value for value in values]


def averages(series: Series) -> tuple[list[float], list[float]]:
    """The line of a series' exponential averages."""
    return [step for step, _ in series.smoothed], numbers([value for _, value in series.smoothed])


def envelope(series: Series) -> tuple[list[float], list[float]]:
    """A line through the smallest and largest value of each column, so that no peak is lost."""
    xs: list[float] = []
    ys: list[float] = []
    for step, least, most in zip(series.steps, numbers(series.minimum), numbers(series.maximum), strict=True):
        # From where the line stands to the nearer end first: it crosses a column once and not twice.
        near, far = (most, least) if ys and abs(ys[-1] - most) < abs(ys[-1] - least) else (least, most)
        xs.append(step)
        ys.append(near)
        if far != near:
            xs.append(step)
            ys.append(far)
    return xs, ys


def finite(curve: Curve, log: bool = False) -> Curve:
    """The points that can be drawn, their values within what a chart can show; with `log`, logarithms of them."""
    points = [
        (step, math.log10(max(1 / MAX_DRAWN_VALUE, min(value, MAX_DRAWN_VALUE))) if log else _drawable(value))
        for step, value in zip(curve.steps, curve.values, strict=True)
        if value is not None and math.isfinite(value) and (value > 0 or not log)
    ]
    return curve._replace(steps=[step for step, _ in points], values=[value for _, value in points])


def _drawable(value: float) -> float:
    return 0.0 if abs(value) < 1 / MAX_DRAWN_VALUE else max(-MAX_DRAWN_VALUE, min(value, MAX_DRAWN_VALUE))


def thinned(curve: Curve, first: float, last: float, bins: int) -> Curve:
    """The points of a line that can be told apart: of each bin the first, the lowest, the highest and the last one.

    A long run has all that it has done by now in a few columns.

    Args:
        curve: Its values are finite.
        first: The step at the left.
        last: The step at the right.
        bins: Between the two.
    """
    values, scale = curve.values, bins / (last - first)
    kept: list[int] = []
    for _, at in groupby(range(len(values)), lambda index: math.floor((curve.steps[index] - first) * scale)):
        group = list(at)
        kept += sorted({group[0], min(group, key=values.__getitem__), max(group, key=values.__getitem__), group[-1]})
    return curve._replace(steps=[curve.steps[index] for index in kept], values=[values[index] for index in kept])
