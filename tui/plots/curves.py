"""Curves: their points, their roles, and how a series of values becomes a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from looptop.engine.journal.reader import Series

AXIS, FAINT, FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH, LEVEL, MARK, TITLE, CHOSEN = range(1, 13)
"""Roles: what a cell of a chart belongs to. LEVEL is a horizontal line, MARK the column under the cursor."""

MARKED = 32
"""Added to the role of a cell in the column under the cursor."""

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
    LEVEL: "chart--level",
    MARK: "chart--mark",
    TITLE: "chart--title",
    CHOSEN: "chart--chosen",
}
"""The component class of each role, from which the style sheets give it a colour."""

COLOURS = dict(zip(ROLES, ("$primary", "$secondary", "$curve-3", "$curve-4", "$curve-5", "$curve-6"), strict=True))
"""The colours of the curves in texts around a chart, the same as in the charts."""

MAX_DRAWN_VALUE = 1e100
"""Larger values are drawn here, and values nearer to 0 than its inverse at 0: no 32-bit number is so large or so small,
and the arithmetic of a scale would overflow."""

ROUNDING_NOISE = 4e-7
"""Values that differ by at most this fraction count as equal: 32-bit numbers round by as much."""


class Curve(NamedTuple):
    """A line of points; the xs rise. A value that is not a finite number breaks the line."""

    role: int
    xs: Sequence[float]
    values: Sequence[float]
    dots: bool = False
    """Whether each point is marked as well, which a few points need to be seen."""
    name: str = ""
    """The name at the line's end; empty for none."""


class TextSpan(NamedTuple):
    """Text in neighbouring cells of one line, drawn in one role."""

    text: str
    role: int


def numbers(values: Sequence[float | None]) -> list[float]:
    """The values, with NaN for None."""
    return [math.nan if value is None else value for value in values]


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


def drawable(value: float, log: bool) -> float | None:
    """A value as it is drawn, with `log` its logarithm; None if it breaks the line."""
    if not math.isfinite(value) or (log and value <= 0):
        return None
    if log:
        return math.log10(max(1 / MAX_DRAWN_VALUE, min(value, MAX_DRAWN_VALUE)))
    return 0.0 if abs(value) < 1 / MAX_DRAWN_VALUE else max(-MAX_DRAWN_VALUE, min(value, MAX_DRAWN_VALUE))
