"""Draws one chart into lines of text: the axis of values, the curves, the horizontal axis with its marks."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from looptop.engine.journal.step_positions import Unit
from looptop.tui.plots.chart_data import MARK_SIGNS, AxisMark, ChartData, Level
from looptop.tui.plots.curves import AXIS, FAINT, LEVEL, ROUNDING_NOISE, Curve, TextSpan, drawable
from looptop.tui.plots.raster import LEVEL_PATTERN, PATTERNS, PLAIN, Raster, text_spans
from looptop.tui.plots.scales import LABEL_WIDTH, axis_ticks, end_label, end_labels, limits_and_ticks, tick_labels
from looptop.tui.plots.view import Span

AXIS_MIN_HEIGHT = 7
"""Minimum height of a chart, in lines, for a horizontal axis, which takes two of them."""
TICKS_MIN_HEIGHT = 4
"""Minimum height of the curves, in lines, for round numbers on the axis of values, not only those of its ends."""
LINES_PER_TICK = 2
CELLS_PER_TICK = 10
NAMES_MIN_WIDTH = 56
"""Minimum width of a chart, in cells, for the curves' names at their ends."""
MOST_OF_A_NAME = 12
CELLS_PER_POINT = 2
"""Points are marked one by one if each has at least this many cells."""


class PlotArea(NamedTuple):
    """What a chart is drawn on."""

    width: int
    height: int
    span: Span
    """The range of the horizontal axis."""
    unit: Unit = "step"
    log: bool = False
    colourless: bool = False
    """Whether lines are told apart by dashes and markers, since the terminal has no colours."""
    axis_name: str = "step"


class Drawing(NamedTuple):
    """A chart as lines of text, and where its curves are in it."""

    lines: list[list[TextSpan]]
    left: int
    """The cells before the curves."""
    width: int
    """The cells of the curves."""
    height: int
    """The lines of the curves; the horizontal axis is below them."""

    def column(self, position: float, span: Span) -> int | None:
        """The cell of a position in a line; None if it is not shown."""
        at = column_of(position, span, self.width)
        return None if at is None else self.left + at

    def position(self, column: int, span: Span) -> float:
        """The position at the middle of a cell, limited to the range that is shown."""
        inside = max(0, min(column - self.left, self.width - 1))
        share = inside / (self.width - 1) if self.width > 1 else 0.0
        return span.first + share * span.width


class _Scale(NamedTuple):
    """The axis of values, as drawn: with a logarithmic scale, these are logarithms."""

    low: float
    high: float
    ticks: dict[int, str]
    """The label of each line that has one."""

    def dot(self, value: float, dots: int) -> int:
        """The row of a value, counted from the top."""
        inside = max(self.low, min(value, self.high))
        return dots - 1 - round((inside - self.low) / (self.high - self.low) * (dots - 1))


def draw(chart: ChartData, area: PlotArea) -> Drawing | None:
    """The chart below its title; None if there is no point to draw, or no room."""
    span = area.span if area.span.width > 0 else Span(area.span.first, area.span.first + 1)
    area = area._replace(span=span, log=area.log and not chart.linear)
    has_axis = area.height >= AXIS_MIN_HEIGHT
    height = area.height - (2 if has_axis else 0)
    pieces = [list(pieces_of(curve, span, area.log)) for curve in chart.curves]
    scale_of_values = _scale_of(chart, pieces, area, height)
    if scale_of_values is None or height < 1:
        return None
    names = _names(chart.curves, area)
    left = max([LABEL_WIDTH, *(len(label) for label in scale_of_values.ticks.values())]) + 1
    width = area.width - left - (max(map(cell_len, names), default=-1) + 1) - 1
    if width < 2:
        return None
    raster = Raster(width, height)
    dashed = area.colourless and len({curve.role for curve in chart.curves} - {FAINT}) > 1
    levels = _draw_levels(raster, chart.levels, scale_of_values, area)
    ends = [
        _draw_curve(raster, curve, parts, scale_of_values, area, dashed=dashed)
        for curve, parts in zip(chart.curves, pieces, strict=True)
    ]
    for curve in chart.curves:
        _draw_points(raster, curve, scale_of_values, area)
    for level, row in levels:
        _write_level(raster, level, row)
    lines = _with_values_axis(raster.rows(), scale_of_values, left, has_axis)
    if names:
        lines = _with_names(lines, chart.curves, ends, area.width - left - width - 1)
    else:
        lines = [[*line, TextSpan(" ", 0)] for line in lines]
    if has_axis:
        lines += _horizontal_axis(chart.marks, area, left, width)
    return Drawing(lines, left, width, height)


def column_of(position: float, span: Span, width: int) -> int | None:
    """The cell of a position; None if it is not shown."""
    if not span.first <= position <= span.last:
        return None
    return round((position - span.first) / (span.width or 1) * (2 * width - 1)) // 2


# Curves.


def pieces_of(curve: Curve, span: Span, log: bool) -> Iterator[list[tuple[float, float]]]:
    """The unbroken parts of a curve within the range, each a list of positions and values as drawn.

    A line that leaves the range ends at its edge.
    """
    # One point more at each side, so that the line goes on to the edge.
    first = max(0, bisect_left(curve.xs, span.first) - 1)
    last = bisect_right(curve.xs, span.last) + 1
    piece: list[tuple[float, float]] = []
    for x, value in zip(curve.xs[first:last], curve.values[first:last], strict=True):
        drawn = drawable(value, log)
        if drawn is None:
            yield from _cut(piece, span)
            piece = []
        else:
            piece.append((x, drawn))
    yield from _cut(piece, span)


def _cut(piece: list[tuple[float, float]], span: Span) -> Iterator[list[tuple[float, float]]]:
    """The part of a line within the range."""
    inside = [point for point in piece if span.first <= point[0] <= span.last]
    before = next((point for point in reversed(piece) if point[0] < span.first), None)
    after = next((point for point in piece if point[0] > span.last), None)
    first = inside[0] if inside else after
    if before is not None and first is not None:
        inside.insert(0, (span.first, _on_line(before, first, span.first)))
    last = inside[-1] if inside else None
    if after is not None and last is not None:
        inside.append((span.last, _on_line(last, after, span.last)))
    if inside:
        yield inside


def _on_line(left: tuple[float, float], right: tuple[float, float], x: float) -> float:
    if right[0] == left[0]:
        return right[1]
    share = (x - left[0]) / (right[0] - left[0])
    return left[1] * (1 - share) + right[1] * share


def _draw_curve(
    raster: Raster,
    curve: Curve,
    pieces: Sequence[list[tuple[float, float]]],
    scale_of_values: _Scale,
    area: PlotArea,
    *,
    dashed: bool,
) -> int | None:
    """Draws a curve, with the dashes of its role or whole; returns the line in which it ends."""
    pattern = PATTERNS.get(curve.role, PLAIN) if dashed else PLAIN
    first, low, high = area.span.first, scale_of_values.low, scale_of_values.high
    bottom = 4 * raster.height - 1
    right, up = (2 * raster.width - 1) / area.span.width, bottom / (high - low)
    end = None
    for piece in pieces:
        path = [(round((x - first) * right), bottom - round((min(max(y, low), high) - low) * up)) for x, y in piece]
        # A stretch of many points in one column is drawn through its ends, as every point of it would be.
        path = [dot for _, group in groupby(path, lambda dot: dot[0]) for dot in _thinned(list(group))]
        raster.line(path, curve.role, pattern)
        end = path[-1][1] // 4
    return end


def _draw_points(raster: Raster, curve: Curve, scale_of_values: _Scale, area: PlotArea) -> None:
    """Marks the points of a curve, if they are few."""
    points = list(_points(curve, area)) if curve.dots else []
    if CELLS_PER_POINT * len(points) > raster.width:
        return
    marker = (PATTERNS.get(curve.role, PLAIN) if area.colourless else PLAIN).point_marker
    for x, value in points:
        column = round((x - area.span.first) / area.span.width * (2 * raster.width - 1))
        raster.point((column, scale_of_values.dot(value, 4 * raster.height)), curve.role, marker)


def _thinned(column: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of the dots of a column the first, the highest, the lowest and the last, in their order."""
    if len(column) <= 4:
        return column
    rows = [row for _, row in column]
    kept = sorted({0, rows.index(min(rows)), rows.index(max(rows)), len(column) - 1})
    return [column[at] for at in kept]


def _points(curve: Curve, area: PlotArea) -> Iterator[tuple[float, float]]:
    for x, value in zip(curve.xs, curve.values, strict=True):
        drawn = drawable(value, area.log)
        if drawn is not None and area.span.first <= x <= area.span.last:
            yield x, drawn


# Horizontal lines.


def _draw_levels(
    raster: Raster, levels: Sequence[Level], scale_of_values: _Scale, area: PlotArea
) -> list[tuple[Level, int]]:
    """Draws the lines that are within the scale; returns them with their row of cells."""
    drawn = []
    for level in levels:
        value = drawable(level.value, area.log)
        if value is None or not scale_of_values.low <= value <= scale_of_values.high:
            continue
        row = scale_of_values.dot(value, 4 * raster.height)
        raster.line([(0, row), (2 * raster.width - 1, row)], LEVEL, LEVEL_PATTERN)
        drawn.append((level, row // 4))
    return drawn


def _write_level(raster: Raster, level: Level, row: int) -> None:
    """Writes what a line is at its right end, or next to it where a curve would be covered."""
    if not level.label:
        return
    text = f" {level_text(level)} "
    if len(text) > raster.width - 4:
        return
    begin = raster.width - len(text)
    columns = range(begin, raster.width)
    where = next((each for each in (row, row - 1, row + 1) if raster.is_free(each, columns)), None)
    if where is not None:
        for column, character in zip(columns, text, strict=True):
            raster.character(column, where, character, LEVEL)


def level_text(level: Level) -> str:
    """What a horizontal line is, with its value."""
    return f"{level.label} {f'{100 * level.value:.0f} %' if level.percent else f'{level.value:.3g}'}".strip()


# The axes.


def value_limits(
    chart: ChartData, pieces: Sequence[Sequence[list[tuple[float, float]]]], area: PlotArea
) -> tuple[float, float] | None:
    """The smallest and the largest value to show, as drawn; None if there is none."""
    values = [value for parts in pieces for piece in parts for _, value in piece]
    if not values:
        return None
    low, high = min(values), max(values)
    # Lines to compare with belong to the picture if they do not press the curves flat.
    room = 2 * (high - low) or abs(high) or 1.0
    wanted = [drawable(level.value, area.log) for level in chart.levels]
    near = [value for value in wanted if value is not None and low - room <= value <= high + room]
    low, high = min([low, *near]), max([high, *near])
    if not area.log:
        low = low if chart.lowest is None else min(chart.lowest, high)
        high = high if chart.highest is None else max(chart.highest, low)
    return low, high


def _scale_of(
    chart: ChartData, pieces: Sequence[Sequence[list[tuple[float, float]]]], area: PlotArea, height: int
) -> _Scale | None:
    limits = value_limits(chart, pieces, area)
    if limits is None:
        return None
    low, high = limits
    if height < TICKS_MIN_HEIGHT:
        return _plain_scale(low, high, height, area.log)
    bottom, top, ticks = limits_and_ticks(low, high, max(3, height // LINES_PER_TICK), area.log)
    if chart.lowest is not None and not area.log:
        bottom = low
    if chart.highest is not None and not area.log:
        top = high
    axis = _Scale(bottom, top, {})
    for tick, label in zip(ticks, tick_labels(ticks, area.log), strict=True):
        if bottom - 1e-9 <= tick <= top + 1e-9:
            axis.ticks.setdefault(axis.dot(tick, 4 * height) // 4, label)
    return axis


def _plain_scale(low: float, high: float, height: int, log: bool) -> _Scale:
    """The scale of a chart of few lines: its ends are the smallest and the largest value."""
    if high - low <= ROUNDING_NOISE * max(abs(low), abs(high)):
        apart = 1.0 if log else 0.5 * (abs(low) or 1)
        value = 10**low if log else low
        axis = _Scale(low - apart, low + apart, {})
        return axis._replace(ticks={axis.dot(low, 4 * height) // 4: end_label(value, abs(value))})
    bottom, top = end_labels(10**low, 10**high) if log else end_labels(low, high)
    return _Scale(low, high, {height - 1: bottom, 0: top} if height > 1 else {0: top})


def _with_values_axis(
    lines: Sequence[list[TextSpan]], scale_of_values: _Scale, left: int, has_axis: bool
) -> list[list[TextSpan]]:
    out = []
    for row, line in enumerate(lines):
        label = scale_of_values.ticks.get(row, "")
        side = ("┤" if label else "│") if has_axis else "▏"
        out.append([TextSpan(f"{label:>{left - 1}}{side}", AXIS), *line])
    return out


def _horizontal_axis(marks: Sequence[AxisMark], area: PlotArea, left: int, width: int) -> list[list[TextSpan]]:
    """The line with ticks and marks, and the line with their labels."""
    axis, below = ["─"] * width, [" "] * (area.width)
    free_from = left - 2
    for position, label in axis_ticks(area.span, area.unit, max(2, width // CELLS_PER_TICK)):
        at = column_of(position, area.span, width)
        if at is None:
            continue
        axis[at] = "┬"
        begin = max(left - 1, min(left + at - len(label) // 2, area.width - 1 - len(label)))
        if begin > free_from:
            below[begin : begin + len(label)] = label
            free_from = begin + len(label) + 1
    kinds = list(MARK_SIGNS)
    for mark in sorted(marks, key=lambda each: kinds.index(each.kind)):
        at = column_of(mark.position, area.span, width)
        if at is not None:
            axis[at] = MARK_SIGNS[mark.kind]
    name = area.axis_name if area.unit == "step" else area.unit
    if not "".join(below[: len(name) + 2]).strip() and len(name) < left:
        below[1 : len(name) + 1] = name
    rest = area.width - left - width
    return [
        text_spans([*" " * (left - 1), "└", *axis, *" " * rest], [AXIS] * area.width),
        text_spans(below[: area.width], [AXIS] * area.width),
    ]


# Names at the ends of curves.


def _names(curves: Sequence[Curve], area: PlotArea) -> list[str]:
    """The names to write at the curves' ends; empty if the chart has only one, or is too narrow."""
    names = list(dict.fromkeys(curve.name for curve in curves if curve.name))
    return [_short(name) for name in names] if len(names) > 1 and area.width >= NAMES_MIN_WIDTH else []


def _with_names(
    lines: Sequence[list[TextSpan]], curves: Sequence[Curve], ends: Sequence[int | None], room: int
) -> list[list[TextSpan]]:
    """The lines with the name of each curve beside its end, or as near as another name lets it be."""
    written: dict[int, TextSpan] = {}
    for curve, end in zip(reversed(curves), reversed(ends), strict=True):
        name = _short(curve.name)
        if end is None or not name or any(span.text.strip() == name for span in written.values()):
            continue
        rows = sorted(set(range(len(lines))) - set(written), key=lambda row: abs(row - end))
        if rows:
            written[rows[0]] = TextSpan(set_cell_size(f" {name}", room + 1), curve.role)
    return [[*line, written.get(row, TextSpan(" " * (room + 1), 0))] for row, line in enumerate(lines)]


def _short(name: str) -> str:
    """The beginning of a name, which may have letters of two cells."""
    return set_cell_size(name, min(cell_len(name), MOST_OF_A_NAME)).rstrip()
