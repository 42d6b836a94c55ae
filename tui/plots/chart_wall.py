"""A page of charts side by side, as many as fit, with a cursor on one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.events import Click, Resize
from textual.message import Message

from looptop.tui.actions import bindings
from looptop.tui.plots.chart import Chart
from looptop.tui.plots.curves import Axes, Curve
from looptop.tui.text import safe

MIN_CHART_WIDTH, MIN_CHART_HEIGHT = 36, 9
"""The smallest chart on a page, in cells."""


class ChartWall(Container, can_focus=True):
    """The charts of a page, and the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("wall")]

    @dataclass
    class Turned(Message):
        """The page, the cursor or the size of the charts has changed."""

    def __init__(self) -> None:
        super().__init__(id="wall")
        self._names: tuple[str, ...] = ()
        self._cursor = 0
        self._large = False
        self._made = 0
        self._note = ""
        """The text that follows each chart's name."""

    # What is shown.

    def list_names(self, names: Sequence[str]) -> None:
        """Sets the metrics to show; the cursor stays on its metric."""
        if tuple(names) == self._names:
            return
        current = self.current_name
        self._names = tuple(names)
        self._cursor = self._names.index(current) if current in self._names else 0
        self._lay_out()

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics of this page."""
        return self.page_of(self._names, self._cursor)

    def page_of(self, names: Sequence[str], cursor: int = 0) -> tuple[str, ...]:
        """The metrics on the page that the cursor is on, out of these."""
        if self._large:
            return tuple(names[cursor : cursor + 1])
        columns, rows = self._room(len(names))
        page = columns * rows
        first = cursor // page * page
        return tuple(names[first : first + page])

    @property
    def current_name(self) -> str:
        """The metric under the cursor; empty if there is none."""
        return self._names[self._cursor] if self._cursor < len(self._names) else ""

    @property
    def position(self) -> tuple[int, int]:
        """The number of the chart under the cursor, from 1, and the number of charts."""
        return min(self._cursor + 1, len(self._names)), len(self._names)

    def chart_columns(self, count: int | None = None) -> int:
        """The columns in which to read a series, if there are `count` metrics."""
        columns, _ = (1, 1) if self._large else self._room(count)
        return max(20, self.size.width // columns - 10)

    def draw(self, name: str, curves: Sequence[Curve], axes: Axes) -> None:
        """Draws one of the page's charts."""
        for chart, shown in zip(self._cells(), self.names, strict=False):  # no cells while the app quits
            if shown == name:
                chart.show(curves, axes)

    def note(self, text: str) -> None:
        """Sets a text that follows each chart's name."""
        self._note = text
        for chart, name in zip(self._cells(), self.names, strict=False):
            chart.set_title(self._title(name))

    def _title(self, name: str) -> Content:
        return safe(name) + Content.styled(f"  {self._note}", "$text-muted") if self._note else safe(name)

    # Moving.

    def action_move(self, columns: int, rows: int) -> None:
        """Moves the cursor by charts."""
        across, _ = self._room()
        self._go(self._cursor + (columns if self._large else columns + rows * across))

    def action_page(self, pages: int) -> None:
        """Turns the page."""
        columns, rows = (1, 1) if self._large else self._room()
        self._go(self._cursor + pages * columns * rows)

    def action_jump(self, to: str) -> None:
        """Moves the cursor to the `first` or `last` chart."""
        self._go(len(self._names) - 1 if to == "last" else 0)

    def action_enlarge(self) -> None:
        """Shows the chart under the cursor alone, or all of them again."""
        self._large = not self._large
        self._lay_out()

    @property
    def large(self) -> bool:
        """Whether one chart is shown alone."""
        return self._large

    def on_click(self, event: Click) -> None:
        """Moves the cursor to the chart; twice enlarges it."""
        for index, chart in enumerate(self._cells()):
            if event.widget is chart and index < len(self.names):
                self._go(self._names.index(self.names[index]))
                if event.chain == 2:
                    self.action_enlarge()
                return

    def on_resize(self, _event: Resize) -> None:
        """Fits the number of charts to the new size."""
        self._lay_out()

    def _go(self, cursor: int) -> None:
        cursor = max(0, min(cursor, len(self._names) - 1))
        if cursor == self._cursor:
            return
        before, self._cursor = self.names, cursor
        if self.names != before:
            self._lay_out()
        else:
            self._mark()
            self.post_message(self.Turned())

    # The charts.

    def _room(self, count: int | None = None) -> tuple[int, int]:
        """The columns and rows of charts that fit, if there are `count` metrics."""
        count = max(1, len(self._names) if count is None else count)
        columns = max(1, min(self.size.width // MIN_CHART_WIDTH, count))
        rows = max(1, min(self.size.height // MIN_CHART_HEIGHT, -(-count // columns)))
        # Not more columns than the rows need: four charts are two by two.
        while columns > 1 and (columns - 1) * rows >= count:
            columns -= 1
        return columns, rows

    def _grid(self) -> tuple[int, int]:
        return (1, 1) if self._large else self._room()

    def _cells(self) -> list[Chart]:
        return list(self.query(Chart))

    def _lay_out(self) -> None:
        if not self.size.width or not self.is_attached:
            return
        columns, rows = self._grid()
        self.styles.grid_size_columns, self.styles.grid_size_rows = columns, rows
        wanted, cells = len(self.names), self._cells()
        for cell in cells[wanted:]:
            cell.remove()
        fresh = [Chart("", id=f"cell-{self._made + index}") for index in range(wanted - len(cells))]
        self._made += len(fresh)
        if fresh:
            self.mount(*fresh)
        for chart, name in zip([*cells, *fresh], self.names, strict=False):
            if chart.set_title(self._title(name)):
                chart.show((), Axes(0, 1))  # the previous metric's curve must not show under this name
        self._mark()
        self.post_message(self.Turned())

    def _mark(self) -> None:
        for chart, name in zip(self._cells(), self.names, strict=False):
            chart.set_class(name == self.current_name and not self._large, "-cursor")
