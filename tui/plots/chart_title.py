"""The lines above a chart's curves: its name, how it is drawn, and the figure of each curve."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

from looptop.engine.text import visible
from looptop.tui.plots.chart_data import ChartData, Entry
from looptop.tui.plots.curves import AXIS, CHOSEN, FAINT, LEVEL, TITLE, TextSpan
from looptop.tui.plots.raster import PATTERNS, PLAIN
from looptop.tui.plots.view import View

LEGEND_MIN_HEIGHT = 6
"""Minimum height of a narrow chart, in lines, for a legend line: the curves' names."""
MARKERS_MIN_WIDTH = 50
"""Minimum width of a chart, in cells, for markers in the title; below it, several names have a line of their own."""
MIN_FIGURES_WIDTH = 18
"""Cells kept for the figures; the note on smoothing is shortened if it would leave fewer."""


def has_legend(chart: ChartData, width: int, height: int) -> bool:
    """Whether the curves' names have a line of their own."""
    named = sum(1 for entry in chart.entries if entry.label)
    return width < MARKERS_MIN_WIDTH and height >= LEGEND_MIN_HEIGHT and named > 1


def title_line(
    title: str, chart: ChartData, view: View, width: int, *, chosen: bool, named: bool, colourless: bool
) -> list[TextSpan]:
    """The chart's name, and each curve's figure in the curve's colour.

    Args:
        title: The chart's name; may contain control characters.
        chart: The chart.
        view: How it is drawn.
        width: The width of the line, in cells.
        chosen: Whether the keys act on this chart.
        named: Whether the figures have their curves' names.
        colourless: Whether markers tell the curves apart.
    """
    room = width - 1
    name = f" {visible(title)} "
    if cell_len(name) > room:
        name = f"{set_cell_size(name, max(1, room - 2))}… "
    out = [TextSpan(name, CHOSEN if chosen else TITLE)]
    room -= cell_len(name)
    notes = []
    if chart.smoothed:
        long = f"smoothed {chart.smoothed:g} "
        notes.append(long if room >= len(long) + MIN_FIGURES_WIDTH else f"~{chart.smoothed:g} ")
    if view.log and not chart.linear:
        notes.append("log ")
    for note in notes:
        if len(note) <= room:
            out.append(TextSpan(note, LEVEL))
            room -= len(note)
    for entry, word in zip(chart.entries, _curve_texts(chart.entries, room, width, named, colourless), strict=True):
        if cell_len(word) > room:
            break
        out.append(TextSpan(word, entry.role))
        room -= cell_len(word)
    for word, role in ((f" ±{chart.spread}" if chart.spread else "", FAINT), (chart.target, LEVEL)):
        if word and len(word) <= room:
            out.append(TextSpan(word, AXIS if role == FAINT else role))
            room -= len(word)
    return [*out, TextSpan(" " * (room + 1), 0)]


def _curve_texts(entries: tuple[Entry, ...], room: int, width: int, named: bool, colourless: bool) -> list[str]:
    """The text of each curve: the longest form that has room, with marker and name, with name, or the figure alone."""
    bare = [f" {entry.figure}" for entry in entries]
    if not named:
        return bare
    plain = [
        f" {entry.label} {entry.figure}" if entry.label and not entry.dots else word
        for entry, word in zip(entries, bare, strict=True)
    ]
    candidates = [plain, bare]
    if width >= MARKERS_MIN_WIDTH and any(entry.label for entry in entries):
        candidates.insert(
            0,
            [
                f"  {_marker(entry, colourless)} {entry.label} {entry.figure}"
                if entry.label
                else f"  {_marker(entry, colourless)} {entry.figure}"
                for entry in entries
            ],
        )
    return next((words for words in candidates if sum(map(cell_len, words)) <= room), bare)


def _marker(entry: Entry, colourless: bool) -> str:
    pattern = PATTERNS.get(entry.role, PLAIN) if colourless else PLAIN
    return pattern.point_marker if entry.dots else pattern.marker


def legend_line(chart: ChartData, left: int, width: int, *, colourless: bool) -> list[TextSpan]:
    """The curves' names, each in its colour; with markers where colours alone do not tell them apart."""
    markers = [f"{_marker(entry, colourless)} " if entry.dots or colourless else "" for entry in chart.entries]
    words = [f" {marker}{entry.label}" for marker, entry in zip(markers, chart.entries, strict=True) if entry.label]
    roles = [entry.role for entry in chart.entries if entry.label]
    left = max(0, min(left, width - sum(map(cell_len, words))))
    out, room = [TextSpan(" " * left, 0)], width - left
    for word, role in zip(words, roles, strict=True):
        if cell_len(word) <= room:
            out.append(TextSpan(word, role))
            room -= cell_len(word)
    return [*out, TextSpan(" " * max(0, room), 0)]
