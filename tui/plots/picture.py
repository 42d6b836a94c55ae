"""Draws a chart as a picture, SVG or PNG, from its data and not from the cells of the terminal."""

from __future__ import annotations

import html
import io
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Protocol

from looptop.engine.journal.step_positions import Unit
from looptop.engine.text import visible
from looptop.tui.plots.chart_data import MARK_SIGNS, ChartData
from looptop.tui.plots.curves import FAINT, FIFTH, FIRST, FOURTH, LEVEL, SECOND, SIXTH, THIRD, drawable
from looptop.tui.plots.drawing import PlotArea, level_text, pieces_of, value_limits
from looptop.tui.plots.scales import axis_ticks, limits_and_ticks, tick_labels
from looptop.tui.plots.view import Span

WIDTH, HEIGHT = 1200, 700
LEFT, TOP, RIGHT, BOTTOM = 90, 60, 150, 70
"""Margins of the curves."""
FONT_SIZE = 16
SHARPNESS = 2
"""The PNG is drawn this much larger and then made smaller, since Pillow draws lines with steps."""

INK, PALE = "#1f2630", "#d4d8de"
COLOURS = {
    FIRST: "#00639c",
    SECOND: "#a84c00",
    THIRD: "#00704f",
    FOURTH: "#a0397f",
    FIFTH: "#7d6a00",
    SIXTH: "#59636f",
    FAINT: "#a9c6da",
    LEVEL: "#59636f",
}
DASHES: dict[int, tuple[float, ...]] = {
    SECOND: (10, 5),
    THIRD: (3, 4),
    FOURTH: (12, 4, 3, 4),
    FIFTH: (6, 10),
    SIXTH: (2, 8),
    LEVEL: (6, 6),
}
"""Lengths drawn and left out in turn, so that a print without colours can be read; a line without any is whole."""

Dot = tuple[float, float]


class Canvas(Protocol):
    """What a picture is drawn on; lengths in pixels from the upper left corner."""

    def line(self, points: Sequence[Dot], colour: str, width: float, dashes: Sequence[float] = ()) -> None:
        """Joins points by straight lines."""

    def point(self, at: Dot, radius: float, colour: str) -> None:
        """Draws a filled circle."""

    def text(self, at: Dot, text: str, colour: str, anchor: str = "start", size: float = FONT_SIZE) -> None:
        """Writes a line of text around, before or after a point, which is at the height of its middle."""

    def data(self) -> bytes:
        """The file."""


class SvgCanvas:
    """Draws into an SVG file."""

    def __init__(self) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
            ' font-family="DejaVu Sans, Verdana, sans-serif">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        ]

    def line(self, points: Sequence[Dot], colour: str, width: float, dashes: Sequence[float] = ()) -> None:
        """Joins points by straight lines."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dash = f' stroke-dasharray="{" ".join(f"{each:g}" for each in dashes)}"' if dashes else ""
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"'
            f' stroke-linejoin="round"{dash}/>'
        )

    def point(self, at: Dot, radius: float, colour: str) -> None:
        """Draws a filled circle."""
        self._parts.append(f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius:g}" fill="{colour}"/>')

    def text(self, at: Dot, text: str, colour: str, anchor: str = "start", size: float = FONT_SIZE) -> None:
        """Writes a line of text."""
        self._parts.append(
            f'<text x="{at[0]:.1f}" y="{at[1] + 0.35 * size:.1f}" fill="{colour}" font-size="{size:g}"'
            f' text-anchor="{anchor}">{html.escape(text)}</text>'
        )

    def data(self) -> bytes:
        """The file."""
        return "\n".join([*self._parts, "</svg>\n"]).encode("utf-8", "replace")


class PngCanvas:
    """Draws into a PNG file, with Pillow."""

    def __init__(self) -> None:
        from PIL import Image, ImageDraw

        self._image = Image.new("RGB", (SHARPNESS * WIDTH, SHARPNESS * HEIGHT), "white")
        self._draw = ImageDraw.Draw(self._image)

    def line(self, points: Sequence[Dot], colour: str, width: float, dashes: Sequence[float] = ()) -> None:
        """Joins points by straight lines."""
        for part in _dashed(points, dashes) if dashes else [points]:
            scaled = [(SHARPNESS * x, SHARPNESS * y) for x, y in part]
            if len(scaled) > 1:
                self._draw.line(scaled, fill=colour, width=round(SHARPNESS * width), joint="curve")

    def point(self, at: Dot, radius: float, colour: str) -> None:
        """Draws a filled circle."""
        x, y, r = SHARPNESS * at[0], SHARPNESS * at[1], SHARPNESS * radius
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def text(self, at: Dot, text: str, colour: str, anchor: str = "start", size: float = FONT_SIZE) -> None:
        """Writes a line of text."""
        from PIL import ImageFont

        font = ImageFont.load_default(SHARPNESS * size)
        side = {"start": "lm", "middle": "mm", "end": "rm"}[anchor]
        self._draw.text((SHARPNESS * at[0], SHARPNESS * at[1]), text, fill=colour, font=font, anchor=side)

    def data(self) -> bytes:
        """The file."""
        from PIL import Image

        out = io.BytesIO()
        self._image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).save(out, "PNG")
        return out.getvalue()


def _dashed(points: Sequence[Dot], dashes: Sequence[float]) -> Iterator[list[Dot]]:
    """The drawn parts of a line."""
    at, left, part = 0, dashes[0], [points[0]]
    for begin, end in pairwise(points):
        x, y = begin
        while (length := math.hypot(end[0] - x, end[1] - y)) > left:
            x, y = x + (end[0] - x) * left / length, y + (end[1] - y) * left / length
            if at % 2 == 0:
                yield [*part, (x, y)]
            at, part = at + 1, [(x, y)]
            left = dashes[at % len(dashes)]
        left -= length
        part.append(end)
    if at % 2 == 0:
        yield part


def paint(canvas: Canvas, title: str, chart: ChartData, span: Span, unit: Unit, *, log: bool, axis_name: str) -> bytes:
    """Draws a chart.

    Args:
        canvas: What to draw it on.
        title: Its name; may be text from outside.
        chart: Its data.
        span: The range of the horizontal axis.
        unit: The unit of that axis.
        log: Whether values are on a logarithmic scale.
        axis_name: What a step is called.

    Returns:
        The file.
    """
    log = log and not chart.linear
    span = span if span.width > 0 else Span(span.first, span.first + 1)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    pieces = [list(pieces_of(curve, span, log)) for curve in chart.curves]
    canvas.text((LEFT, TOP / 2), _title(title, chart, log), INK, size=FONT_SIZE * 1.25)
    limits = value_limits(chart, pieces, PlotArea(0, 0, span, log=log))
    if limits is None:
        return canvas.data()
    low, high, ticks = limits_and_ticks(*limits, 8, log)

    def x_of(position: float) -> float:
        return LEFT + (position - span.first) / span.width * (right - LEFT)

    def y_of(value: float) -> float:
        return bottom - (max(low, min(value, high)) - low) / (high - low) * (bottom - TOP)

    for tick, label in zip(ticks, tick_labels(ticks, log), strict=True):
        canvas.line([(LEFT, y_of(tick)), (right, y_of(tick))], PALE, 1)
        canvas.text((LEFT - 8, y_of(tick)), label, INK, "end")
    for position, label in axis_ticks(span, unit, 10):
        canvas.line([(x_of(position), bottom), (x_of(position), bottom + 6)], INK, 1)
        canvas.text((x_of(position), bottom + 20), label, INK, "middle")
    canvas.line([(LEFT, TOP), (LEFT, bottom), (right, bottom)], INK, 1)
    words = {"step": axis_name, "epoch": "epoch", "time": "time of training, without pauses"}
    canvas.text(((LEFT + right) / 2, bottom + 44), words[unit], INK, "middle")
    for mark in chart.marks:
        if span.first <= mark.position <= span.last:
            radius = 2.0 + 1.5 * list(MARK_SIGNS).index(mark.kind)
            canvas.point((x_of(mark.position), bottom), radius, COLOURS[SECOND] if mark.kind == "best" else INK)
    for level in chart.levels:
        value = drawable(level.value, log)
        if value is not None and low <= value <= high:
            canvas.line([(LEFT, y_of(value)), (right, y_of(value))], COLOURS[LEVEL], 1.5, DASHES[LEVEL])
            canvas.text((right - 4, y_of(value) - 10), level_text(level), COLOURS[LEVEL], "end")
    named: set[str] = set()
    # Raw curves belong behind all others, also those of other runs.
    for curve, parts in sorted(zip(chart.curves, pieces, strict=True), key=lambda each: each[0].role != FAINT):
        colour = COLOURS[curve.role]
        for piece in parts:
            path = [(x_of(x), y_of(value)) for x, value in piece]
            canvas.line(path, colour, 1 if curve.role == FAINT else 2, DASHES.get(curve.role, ()))
            for at in path if curve.dots else []:
                canvas.point(at, 3.5, colour)
        if parts and curve.name and curve.name not in named:
            named.add(curve.name)
            canvas.text((right + 10, y_of(parts[-1][-1][1])), visible(curve.name)[:16], colour)
    return canvas.data()


def _title(title: str, chart: ChartData, log: bool) -> str:
    notes = [f"smoothed {chart.smoothed:g}" if chart.smoothed else "", "logarithmic" if log else ""]
    return ", ".join([visible(title), *filter(None, notes)])
