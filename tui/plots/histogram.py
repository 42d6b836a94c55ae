"""Histograms: the distribution of figures as bars. A bar can be chosen."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from textual.binding import BindingType
from textual.events import Click, Resize
from textual.message import Message
from textual.strip import Strip

from looptop.engine.text import counted
from looptop.tui.actions import bindings
from looptop.tui.text import EIGHTHS, number
from looptop.tui.widgets.style_cache import StyleCache

BAR_WIDTH = 3
"""Cells from one bar to the next."""
MAX_BARS = 24


class BarRange(NamedTuple):
    """The range of a bar; only the last bar's range contains its upper end (`closed`)."""

    low: float
    high: float
    closed: bool

    def holds(self, value: float | None) -> bool:
        """Whether a figure is in the range."""
        if value is None or math.isnan(value):
            return False
        return self.low <= value < self.high or (self.closed and value == self.high)


def count_in_bins(values: Sequence[float], count: int) -> tuple[list[int], list[BarRange]]:
    """Counts the figures in each of `count` equally wide ranges from the smallest to the largest figure."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite or count < 1:
        return [], []
    low, high = min(finite), max(finite)
    if high <= low:
        return [len(finite)], [BarRange(low, high, True)]
    shares = [at / count for at in range(1, count)]
    # Interpolated, since the difference of the ends may overflow; the maximum keeps rounding from reversing two edges.
    edges = [low, *itertools.accumulate((low * (1 - share) + high * share for share in shares), max), high]
    ranges = [BarRange(edges[at], edges[at + 1], at == count - 1) for at in range(count)]
    counts = [0] * count
    for value in finite:
        counts[min(bisect_right(edges, value), count) - 1] += 1
    return counts, ranges


def ends_text(low: str, high: str, room: int) -> str:
    """The two ends of the bars as a text of `room` cells; only one if both would be written alike."""
    if low == high:
        return low
    return f"{low}{' ' * max(1, room - len(low) - len(high))}{high}"


class Histogram(StyleCache, can_focus=True):
    """A title, bars, and their ends."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"bars--title", "bars--bar", "bars--chosen", "bars--label"}
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("bars")]

    @dataclass
    class Chosen(Message):
        """A bar was chosen, to show only the figures in its range; None shows all."""

        histogram: Histogram
        bar_range: BarRange | None

        @property
        def control(self) -> Histogram:
            """The histogram that posted it."""
            return self.histogram

    def __init__(self, title: str, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._title = title
        self._values: Sequence[float] = ()
        self._counts: list[int] = []
        self._ranges: list[BarRange] = []
        self.chosen: int | None = None

    def show(self, values: Sequence[float]) -> None:
        """Shows other figures, and deselects the bar."""
        if list(values) == list(self._values):
            return
        self._values = list(values)
        self._count()
        if self.chosen is not None:
            self.action_no_bar()
        self.refresh()

    def on_resize(self, _event: Resize) -> None:
        """Fits the number of bars to the new size."""
        before = len(self._counts)
        self._count()
        self.refresh()
        if len(self._counts) != before and self.chosen is not None:
            self.action_no_bar()

    def _count(self) -> None:
        bars = max(1, min(MAX_BARS, (self.size.width - 1) // BAR_WIDTH))
        self._counts, self._ranges = count_in_bins(self._values, bars)

    def action_bar(self, by: int) -> None:
        """Chooses the next bar that is not empty, in either direction."""
        filled = [index for index, count in enumerate(self._counts) if count]
        if not filled:
            return
        if self.chosen is None:
            self._choose(filled[0] if by > 0 else filled[-1])
            return
        further = [index for index in filled if (index > self.chosen if by > 0 else index < self.chosen)]
        if further:
            self._choose(further[0] if by > 0 else further[-1])

    def action_no_bar(self) -> None:
        """Deselects the bar."""
        self._choose(None)

    def on_click(self, event: Click) -> None:
        """Chooses a bar, or deselects it if it was chosen."""
        index = event.x // BAR_WIDTH
        if index < len(self._counts) and self._counts[index]:
            self._choose(None if index == self.chosen else index)

    def _choose(self, index: int | None) -> None:
        self.chosen = index
        self.refresh()
        self.post_message(self.Chosen(self, None if index is None else self._ranges[index]))

    def render_line(self, y: int) -> Strip:
        """The title, a line of the bars, or their ends."""
        width, height = self.size
        base = self.base_style
        if y == 0:
            return self._title_line(width)
        label = self.get_component_rich_style("bars--label")
        if not self._counts:
            return Strip([Segment("  ·" if y == 1 else "", label)]).adjust_cell_length(width, base)
        if y == height - 1:
            low, high = number(self._ranges[0].low), number(self._ranges[-1].high)
            ends = ends_text(low, high, min(width, BAR_WIDTH * len(self._counts)) - 1)
            return Strip([Segment(ends, label)]).adjust_cell_length(width, base)
        plain, chosen = (self.get_component_rich_style(f"bars--{name}") for name in ("bar", "chosen"))
        levels, most = max(1, height - 2), max(self._counts)
        segments = []
        for index, count in enumerate(self._counts):
            eighths = math.ceil(count / most * levels * 8) if count else 0
            filled = max(0, min(8, eighths - 8 * (levels - y)))
            segments += [
                Segment(EIGHTHS[filled] * (BAR_WIDTH - 1), chosen if index == self.chosen else plain),
                Segment(" ", base),
            ]
        return Strip(segments).adjust_cell_length(width, base)

    def _title_line(self, width: int) -> Strip:
        style = self.get_component_rich_style("bars--chosen" if self.has_focus else "bars--title")
        segments = [Segment(f" {self._title} ", style)]
        text = f" {counted(len(self._values), 'sample')}"
        if self.chosen is not None:
            at = self._ranges[self.chosen]
            text = f" {number(at.low)} to {number(at.high)}: {self._counts[self.chosen]}"
        segments.append(Segment(text, self.get_component_rich_style("bars--label")))
        return Strip(segments).adjust_cell_length(width, self.base_style)
