"""Makes curves of series: the envelope of one run, or a line for each of several."""

from __future__ import annotations

from collections.abc import Sequence

from looptop.engine.journal.reader import Series
from looptop.tui.plots.plot import FAINT, FIRST, RUNS, Curve

SMOOTHING = (0.0, 0.6, 0.9, 0.97)
"""Weights of the exponential average that a key goes through; 0 is none."""

SPARSE = 4
"""Points are marked one by one where there is at most one in so many columns."""


def of(found: Sequence[Series | None], columns: int, weight: float, chosen: int = -1) -> list[Curve]:
    """The curves of one metric.

    Args:
        found: Of each run, None where it has no such metric.
        columns: Of the chart.
        weight: Of the smoothing, 0 for none.
        chosen: The run in front, the others are faint; -1 gives each its own colour.
    """
    curves: list[Curve] = []
    order = sorted(range(len(found)), key=lambda index: index == chosen)  # what is in front is drawn last
    for index in order:
        series = found[index]
        if series is None or not series.steps:
            continue
        role = RUNS[index % len(RUNS)] if chosen < 0 else (FIRST if index == chosen else FAINT)
        few = len(series.steps) * SPARSE <= columns
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
