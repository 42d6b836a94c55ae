"""Draws curves with plotext into lines of runs of one role each; colours come later, from the theme.

plotext has one figure for the whole process, so this is used from the app's thread only. Its time is linear in the
points, so curves come thinned to about two points a column.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

AXIS, FAINT, FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH = 1, 2, 3, 4, 5, 6, 7, 8
"""Roles: what a cell of the chart belongs to. Given to plotext as colours of its palette, read back from its output."""

RUNS = (FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH)
"""Roles of the runs that are laid over each other."""

_ESCAPE = re.compile(r"\x1b\[([\d;]*)m")
PLACES = 4
"""In a column: two for each dot, since plotext may round another way than we do."""

_LABEL = 7
"""Cells of the labels at the left, so that charts above one another begin at the same column."""


LARGEST = 1e30
"""Values beyond are drawn here, and those nearer to 0 than its inverse at 0: nobody can read such a scale, and its
arithmetic would overflow."""


NOISE = 4e-7
"""What differs by no more than this share of itself is a constant: it is how 32-bit numbers round."""


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


def load() -> None:
    """Brings plotext in, which takes a tenth of a second, before a key waits for the first chart; from any thread."""
    import plotext  # noqa: F401


def draw(curves: Sequence[Curve], axes: Axes, width: int, height: int) -> list[list[Run]]:
    """The chart as `height` lines of `width` cells; empty where there is not one finite point or no room."""
    curves = [_finite(curve, axes.log) for curve in curves]
    values = [value for curve in curves for value in curve.values]
    if not values or width < 16 or height < 4:
        return []
    import plotext

    bounds = [math.log10(value) for value in (axes.lowest, axes.highest) if axes.log and value]
    limits = [value for value in (axes.lowest, axes.highest) if value is not None and not axes.log]
    lowest, highest = min(values + limits + bounds), max(values + limits + bounds)
    lowest, highest, ticks = _scale(lowest, highest, max(2, height // 4), axes.log)
    figure = plotext.figure
    figure.clear.data()
    figure.clear.settings()
    plotext.terminal.limit(False, False)
    figure.canvas("default")
    figure.plot_size(width, height)
    axis = plotext.pixel(foreground=AXIS)
    figure.axes(False)
    figure.axes(True, pixel=axis, axis=0, side=0)
    figure.axes(True, pixel=axis, axis=1, side=0)
    _rule(figure, "y", (lowest, highest), list(zip(ticks, labels(ticks, axes.log), strict=True)), axis)
    last = max(axes.last, axes.first + 1)
    curves = [curve if curve.dots else thinned(curve, axes.first, last, PLACES * width) for curve in curves]
    steps = _round_steps(axes.first, last, max(2, width // 16))
    _rule(figure, "x", (axes.first, last), [(step, f"{step:,.0f}") for step in steps], axis)
    for curve in curves:
        if curve.values:
            marker = plotext.marker("braille", pixel=plotext.pixel(foreground=curve.role))
            figure.draw(figure.signal(list(curve.steps), list(curve.values), marker=marker).lines(True))
        if curve.dots and curve.values:
            marker = plotext.marker("•", pixel=plotext.pixel(foreground=curve.role))
            figure.draw(figure.signal(list(curve.steps), list(curve.values), marker=marker))
    return [_runs(line) for line in figure.build().string().split("\n")][:height]


def thinned(curve: Curve, first: float, last: float, places: int) -> Curve:
    """The points of a line that can be told apart: of each place the first, the lowest, the highest and the last one.

    A long run has all that it has done by now in a few columns.

    Args:
        curve: Its values are finite.
        first: The step at the left.
        last: The step at the right.
        places: Between the two.
    """
    values, scale = curve.values, places / (last - first)
    kept: list[int] = []
    for _, at in groupby(range(len(values)), lambda index: math.floor((curve.steps[index] - first) * scale)):
        here = list(at)
        kept += sorted({here[0], min(here, key=values.__getitem__), max(here, key=values.__getitem__), here[-1]})
    return curve._replace(steps=[curve.steps[index] for index in kept], values=[values[index] for index in kept])


def _finite(curve: Curve, log: bool) -> Curve:
    pairs = [
        (step, math.log10(max(1 / LARGEST, min(value, LARGEST))) if log else _drawable(value))
        for step, value in zip(curve.steps, curve.values, strict=True)
        if value is not None and math.isfinite(value) and (value > 0 or not log)
    ]
    return curve._replace(steps=[step for step, _ in pairs], values=[value for _, value in pairs])


def _drawable(value: float) -> float:
    return 0.0 if abs(value) < 1 / LARGEST else max(-LARGEST, min(value, LARGEST))


def _rule(figure: Any, axis: str, limits: tuple[float, float], ticks: list[tuple[float, str]], pixel: Any) -> None:
    ruler = figure.ruler(axis)
    ruler.lim(*limits)
    ruler.pixel(pixel)
    ruler.ticks([at for at, _ in ticks], labels=[label for _, label in ticks])


def _scale(lowest: float, highest: float, count: int, log: bool) -> tuple[float, float, list[float]]:
    """Limits with a little air around the data, and round values between them: at least two."""
    if highest - lowest <= NOISE * max(abs(lowest), abs(highest)):
        # A constant has its own value beside it, between two that say how high the chart is.
        apart = 1.0 if log else abs(highest) / 2 or 1.0
        return lowest - apart, lowest + apart, [lowest - apart, lowest, lowest + apart]
    spread = highest - lowest
    if log and spread >= count:
        unit = float(math.ceil(spread / count))
    else:
        rough = spread / count
        unit = _round_unit(rough)
    low = lowest - 0.02 * spread
    if lowest >= 0 > low and not log:
        low = 0.0
    high = highest + 0.02 * spread
    ticks = _multiples(low, high, unit)
    while len(ticks) < 2:
        unit /= 2
        ticks = _multiples(low, high, unit)
    return low, high, ticks


def _round_unit(rough: float) -> float:
    """The smallest round number that is not below."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * 0.999)


def _multiples(low: float, high: float, unit: float) -> list[float]:
    first = math.ceil(low / unit - 1e-9)
    return [index * unit for index in range(first, math.floor(high / unit + 1e-9) + 1)]


def _round_steps(first: float, last: float, count: int) -> list[float]:
    rough = (last - first) / count
    power = 10 ** math.floor(math.log10(max(rough, 1)))
    unit: float = next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)
    found = _multiples(first, last, unit)
    while len(found) < 2 and unit > 1:
        unit = _round_unit(unit / 2) if unit > 2 else 1
        found = _multiples(first, last, unit)
    return found


def labels(ticks: Sequence[float], log: bool) -> list[str]:
    """What stands beside the ticks of an axis: as many digits as tell them apart, in `_LABEL` cells where that does."""
    values = [10**value if log else value for value in ticks]
    spread = max(values) - min(values) if values else 0.0
    values = [0.0 if abs(value) < 1e-9 * spread else value for value in values]
    ways: list[Callable[[float], str]] = [_label]
    ways += [lambda value, d=digits: f"{value:.{d}f}" for digits in range(8)]  # type: ignore[misc]
    ways += [lambda value, d=digits: short_exponent(f"{value:.{d}e}") for digits in range(1, 16)]  # type: ignore[misc]
    written: list[str] = []
    for narrow in (True, False):
        for way in ways:
            written = [way(value) for value in values]
            fits = not narrow or max(map(len, written), default=0) <= _LABEL
            if fits and len(set(written)) == len(written) and _agree(written, values, spread):
                return [text.rjust(_LABEL) for text in written]
    return [text.rjust(_LABEL) for text in written]


def _agree(written: Sequence[str], values: Sequence[float], spread: float) -> bool:
    """Whether the labels are the values, as far as a chart of so many lines shows."""
    return all(
        abs(float(text) - value) <= 0.02 * spread + 1e-12 * abs(value)
        for text, value in zip(written, values, strict=True)
    )


def short_exponent(text: str) -> str:
    """`1e5` for `1e+05`."""
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def _label(value: float) -> str:
    if value and (abs(value) < 1e-3 or abs(value) >= 1e5):
        return short_exponent(f"{value:.0e}")
    return f"{value:.4f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def _runs(line: str) -> list[Run]:
    """Plotext's line, taken apart at its colour codes: a code `38;5;ROLE` begins a run, any other ends it."""
    out: list[Run] = []
    role, at = 0, 0
    for match in _ESCAPE.finditer(line):
        if match.start() > at:
            out.append(Run(line[at : match.start()], role))
        at = match.end()
        code = match[1]
        if code.startswith("38;5;"):
            role = int(code[5:])
        elif code in ("", "0"):
            role = 0
    if at < len(line):
        out.append(Run(line[at:], role))
    return out
