"""Sparklines: values from 0 to 1 as a row of bars, one cell each, the first value first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

from looptop.tui.plots.curves import numbers
from looptop.tui.text import EIGHTHS

LEVELS = EIGHTHS[1:]
"""The bars, an eighth of a line at 0 and a whole one at 1."""

LOW_LEVELS = EIGHTHS[1:-1]
"""The bars where sparklines stand one below the other: a whole line would touch the one above."""

MISSING = "·"
"""Stands for a value that a sparkline of means does not have."""


def sparkline_of_means(values: Sequence[float], width: int) -> str:
    """Bars of at most `width` cells, a dot for NaN. Of more values than cells each cell shows the mean of its share."""
    if len(values) > width > 0:
        edges = [round(cell * len(values) / width) for cell in range(width + 1)]
        values = [_mean(values[first:end]) for first, end in itertools.pairwise(edges)]
    return _bars(values, LEVELS, MISSING)


def sparkline_of_latest(values: Sequence[float | None], width: int) -> str:
    """Low bars of at most `width` cells, a blank for None.

    Of more values than cells each cell shows the last one of its share, so that the last value is always on the screen.
    """
    count = len(values)
    cells = min(count, width)
    return _bars(numbers([values[(cell + 1) * count // cells - 1] for cell in range(cells)]), LOW_LEVELS, " ")


def cell_of(index: int, count: int, width: int) -> int:
    """The cell of a `sparkline_of_latest` of `count` values in whose share the value at `index` is."""
    cells = min(count, width)
    return next(cell for cell in range(cells) if index < (cell + 1) * count // cells)


def _bars(values: Iterable[float], levels: str, missing: str) -> str:
    return "".join(missing if math.isnan(value) else _bar(value, levels) for value in values)


def _bar(value: float, levels: str) -> str:
    return levels[min(len(levels) - 1, int(max(0.0, min(value, 1.0)) * len(levels)))]


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan
