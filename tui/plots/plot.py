"""Draws curves with plotext, with axes, into lines of runs of one role each; colours come later, from the theme.

plotext has one figure for the whole process, so this is used from the app's thread only. Its time is linear in the
points, so curves come thinned to about two points a column.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from looptop.tui.plots.curves import AXIS, Axes, Curve, Run, finite, thinned
from looptop.tui.plots.scales import labels, round_steps, scale

_ESCAPE = re.compile(r"\x1b\[([\d;]*)m")
BINS_PER_COLUMN = 4
"""Two bins for each of a column's two dots, since plotext may round differently."""


def load() -> None:
    """Imports plotext, which takes a tenth of a second, before a chart needs it; may be called from any thread."""
    import plotext  # noqa: F401


def draw(curves: Sequence[Curve], axes: Axes, width: int, height: int) -> list[list[Run]]:
    """The chart as `height` lines of `width` cells; empty if there is no finite point or no room."""
    curves = [finite(curve, axes.log) for curve in curves]
    values = [value for curve in curves for value in curve.values]
    if not values or width < 16 or height < 4:
        return []
    import plotext

    bounds = [math.log10(value) for value in (axes.lowest, axes.highest) if axes.log and value]
    limits = [value for value in (axes.lowest, axes.highest) if value is not None and not axes.log]
    lowest, highest = min(values + limits + bounds), max(values + limits + bounds)
    lowest, highest, ticks = scale(lowest, highest, max(2, height // 4), axes.log)
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
    curves = [curve if curve.dots else thinned(curve, axes.first, last, BINS_PER_COLUMN * width) for curve in curves]
    steps = round_steps(axes.first, last, max(2, width // 16))
    _rule(figure, "x", (axes.first, last), [(step, f"{step:,.0f}") for step in steps], axis)
    for curve in curves:
        if curve.values:
            marker = plotext.marker("braille", pixel=plotext.pixel(foreground=curve.role))
            figure.draw(figure.signal(list(curve.steps), list(curve.values), marker=marker).lines(True))
        if curve.dots and curve.values:
            marker = plotext.marker("•", pixel=plotext.pixel(foreground=curve.role))
            figure.draw(figure.signal(list(curve.steps), list(curve.values), marker=marker))
    return [_runs(line) for line in figure.build().string().split("\n")][:height]


def _rule(figure: Any, axis: str, limits: tuple[float, float], ticks: list[tuple[float, str]], pixel: Any) -> None:
    ruler = figure.ruler(axis)
    ruler.lim(*limits)
    ruler.pixel(pixel)
    ruler.ticks([at for at, _ in ticks], labels=[label for _, label in ticks])


def _runs(line: str) -> list[Run]:
    """Splits plotext's line at its colour codes: a code `38;5;ROLE` begins a run, any other ends it."""
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
