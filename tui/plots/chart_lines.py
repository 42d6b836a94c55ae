"""The lines of each chart of a wall: drawn when its data change, and marked where the cursor is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, repeat
from typing import NamedTuple

from rich.cells import cell_len

from looptop.tui.plots.chart_data import ChartData
from looptop.tui.plots.chart_title import has_legend, legend_line, title_line
from looptop.tui.plots.curves import AXIS, MARKED, TITLE, TextSpan
from looptop.tui.plots.drawing import Drawing, PlotArea, draw
from looptop.tui.plots.raster import text_spans
from looptop.tui.plots.scales import LABEL_WIDTH
from looptop.tui.plots.spec import ChartSpec
from looptop.tui.plots.view import Span, View

CURSOR_SIGN = "┊"


class Marking(NamedTuple):
    """What is marked in a chart."""

    position: float | None
    """The position of the reading cursor."""
    selection: Span | None
    """The range that a drag selects."""
    chosen: bool
    """Whether keys act on this chart."""
    text: str = ""
    """The cursor's position in words."""


class _KeptChart(NamedTuple):
    """A chart, and what it was drawn from."""

    sources: object
    drawing: Drawing | None
    above: int
    """Lines above the curves."""


class ChartLines:
    """Draws charts; keeps what has not changed."""

    def __init__(self) -> None:
        self._kept: dict[str, _KeptChart] = {}

    def lines_of(
        self,
        spec: ChartSpec,
        chart: ChartData,
        size: tuple[int, int],
        span: Span,
        view: View,
        marking: Marking,
        *,
        colourless: bool,
        axis_name: str,
    ) -> list[list[TextSpan]]:
        """The lines of a chart, each as wide as the chart."""
        width, height = size
        legend = has_legend(chart, width, height)
        above = 2 if legend else 1
        area = PlotArea(width, height - above, span, view.unit, view.log, colourless, axis_name)
        sources = (chart.curves, chart.levels, chart.marks, chart.lowest, chart.highest, area)
        kept = self._kept.get(spec.key)
        if kept is None or kept.sources != sources:
            kept = self._kept[spec.key] = _KeptChart(sources, draw(chart, area), above)
        title = title_line(
            spec.title, chart, view, width, chosen=marking.chosen, named=not legend, colourless=colourless
        )
        lines = [title, legend_line(chart, LABEL_WIDTH + 1, width, colourless=colourless)] if legend else [title]
        if kept.drawing is None:
            return lines + _message_lines(_why_empty(chart, view), width, height - above)
        lines += _with_marking(kept.drawing, marking, span)
        return (lines + [[TextSpan(" " * width, 0)]] * (height - len(lines)))[:height]

    def position_under(self, key: str, x: int, y: int, span: Span) -> tuple[float, bool]:
        """The position at a cell of a chart, and whether the cell is on the horizontal axis."""
        kept = self._kept.get(key)
        if kept is None or kept.drawing is None:
            return span.first, False
        return kept.drawing.position(x, span), y >= kept.above + kept.drawing.height


def _why_empty(chart: ChartData, view: View) -> str:
    """Why nothing of a chart is drawn."""
    values = [value for curve in chart.curves for value in curve.values]
    if not values:
        return "nothing to draw yet"
    if not any(map(math.isfinite, values)):
        return "all values are NaN or infinite"
    if view.log and not any(value > 0 for value in values):
        return "no value above 0 to draw on this scale"
    return "nothing to draw here"


def _message_lines(text: str, width: int, height: int) -> list[list[TextSpan]]:
    blank = [TextSpan(" " * width, 0)]
    return [
        [TextSpan(text.center(width)[:width].ljust(width), AXIS)] if y == height // 2 else blank for y in range(height)
    ]


def _with_marking(drawing: Drawing, marking: Marking, span: Span) -> list[list[TextSpan]]:
    """The lines of the drawing with the cursor, or the selection, over the curves."""
    columns: Sequence[int] = ()
    if marking.selection is not None:
        first, last = (
            drawing.column(max(span.first, min(end, span.last)), span) or drawing.left for end in marking.selection
        )
        columns = range(first, last + 1)
    elif marking.position is not None and (at := drawing.column(marking.position, span)) is not None:
        columns = (at,)
    if not columns:
        return drawing.lines
    lines = [
        _line_with_marking(line, columns, sign=len(columns) == 1) if y < drawing.height else line
        for y, line in enumerate(drawing.lines)
    ]
    if marking.text and len(columns) == 1 and len(lines) > drawing.height:
        lines[-1] = _with_text(lines[-1], columns[0], marking.text)
    return lines


def _line_with_marking(line: Sequence[TextSpan], columns: Sequence[int], *, sign: bool) -> list[TextSpan]:
    letters = list("".join(span.text for span in line))
    roles = list(chain.from_iterable(repeat(span.role, len(span.text)) for span in line))
    for column in columns:
        if sign and letters[column] == " ":
            letters[column], roles[column] = CURSOR_SIGN, AXIS
        roles[column] |= MARKED
    return text_spans(letters, roles)


def _with_text(line: Sequence[TextSpan], column: int, text: str) -> list[TextSpan]:
    """The labels of the axis with the cursor's position below the cursor."""
    letters = list("".join(span.text for span in line))
    text = f" {text} "
    begin = max(0, min(column - len(text) // 2, len(letters) - 1 - len(text)))
    if begin + len(text) > len(letters):
        return list(line)
    # A label that would be cut is left out.
    for end, by in ((begin - 1, -1), (begin + len(text), 1)):
        while 0 <= end < len(letters) and letters[end] != " ":
            letters[end], end = " ", end + by
    letters[begin : begin + len(text)] = text
    roles = [AXIS] * len(letters)
    roles[begin : begin + len(text)] = [TITLE | MARKED] * len(text)
    return text_spans(letters, roles)


def changed_cells(before: Sequence[TextSpan], after: Sequence[TextSpan]) -> tuple[int, int]:
    """The first cell of a line that has changed, and the cell after the last one."""
    old, new = ([(letter, span.role) for span in line for letter in span.text] for line in (before, after))
    cells = sum(cell_len(span.text) for span in after)
    if not len(old) == len(new) == cells:  # a title with letters of two cells
        return 0, cells
    differ = [at for at, (one, other) in enumerate(zip(old, new, strict=True)) if one != other]
    return (differ[0], differ[-1] + 1) if differ else (0, 0)
