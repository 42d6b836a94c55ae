"""Draws a chart as plain text, for a mail or an issue, with plotext.

The charts on the screen are drawn by `drawing.py`, which knows gaps, windows, dashes and marks, and redraws single
cells; plotext draws whole figures, which is what is wanted here.
"""

from __future__ import annotations

import threading

from looptop.engine.journal.step_positions import Unit
from looptop.engine.text import visible
from looptop.tui.plots.chart_data import ChartData
from looptop.tui.plots.curves import FAINT, FIRST, drawable
from looptop.tui.plots.drawing import PlotArea, level_text, pieces_of, value_limits
from looptop.tui.plots.raster import PATTERNS, PLAIN
from looptop.tui.plots.scales import axis_ticks, limits_and_ticks, tick_labels
from looptop.tui.plots.view import Span

WIDTH, HEIGHT = 100, 28
"""The size of the figure, in characters; it fits into a mail."""

_ONE_FIGURE = threading.Lock()
"""plotext has one figure for the whole process."""


def text_picture(title: str, chart: ChartData, span: Span, unit: Unit, *, log: bool, axis_name: str) -> str:
    """The chart as lines of text without colours: the first curve as a line, others as points.

    Args:
        title: Its name; may be text from outside.
        chart: Its data.
        span: The range of the horizontal axis.
        unit: The unit of that axis.
        log: Whether values are on a logarithmic scale.
        axis_name: What a step is called.
    """
    log = log and not chart.linear
    span = span if span.width > 0 else Span(span.first, span.first + 1)
    curves = [(curve, list(pieces_of(curve, span, log))) for curve in chart.curves if curve.role != FAINT]
    limits = value_limits(chart, [pieces for _, pieces in curves], PlotArea(0, 0, span, log=log))
    unit_words = {"step": axis_name, "epoch": "epoch", "time": "time of training"}[unit]
    head = [f"{visible(title)}, by {unit_words}{', logarithmic' if log else ''}"]
    if chart.smoothed:
        head[0] += f", smoothed {chart.smoothed:g}"
    patterns = {curve.role: PATTERNS.get(curve.role, PLAIN) for curve, _ in curves}
    head += [
        f"  {pattern.point_marker if entry.dots else pattern.marker} {visible(entry.label or title)}"
        for entry in chart.entries
        if (pattern := patterns.get(entry.role))
    ]
    if limits is None:
        return "\n".join([*head, "  (no values)", ""])
    low, high, ticks = limits_and_ticks(*limits, HEIGHT // 3, log)
    head += [f"  ┄ {level_text(level)}" for level in chart.levels]
    import plotext

    with _ONE_FIGURE:
        figure = plotext.figure
        figure.clear.data()
        figure.clear.settings()
        plotext.terminal.limit(False, False)
        figure.plot_size(WIDTH, HEIGHT)
        figure.axes(False)
        for axis in (0, 1):
            figure.axes(True, axis=axis, side=0)
        for name, ends, marks in (
            ("y", (low, high), list(zip(ticks, tick_labels(ticks, log), strict=True))),
            ("x", tuple(span), axis_ticks(span, unit, WIDTH // 14)),
        ):
            ruler = figure.ruler(name)
            ruler.lim(*ends)
            ruler.ticks([at for at, _ in marks], labels=[label for _, label in marks])
        for level in chart.levels:
            value = drawable(level.value, log)
            if value is not None and low <= value <= high:
                across = [span.first + span.width * part / WIDTH for part in range(WIDTH + 1)]
                figure.draw(figure.signal(across, [value] * len(across), marker=plotext.marker("┄")))
        for curve, pieces in curves:
            is_main = curve.role == FIRST and not curve.dots
            for piece in pieces:
                xs, values = [x for x, _ in piece], [value for _, value in piece]
                marker = "braille" if is_main else patterns[curve.role].point_marker
                figure.draw(figure.signal(xs, values, marker=plotext.marker(marker)).lines(is_main))
        drawn = plotext.uncolorize(figure.build().string())
    lines = [line.rstrip() for line in drawn.split("\n")]
    return "\n".join([*head, *lines, ""])
