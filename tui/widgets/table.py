"""A table of any length: only the lines on the screen are made, so thousands of rows scroll like ten.

A row has one or several lines. The titles at the top and the first column do not scroll. If the other columns do not
all fit, the table scrolls to the one under the column cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from looptop.engine.text import visible
from looptop.tui.actions import bindings
from looptop.tui.widgets.style_cache import StyleCache

if TYPE_CHECKING:
    from textual.events import Click, Resize


@dataclass(frozen=True)
class Column:
    """A column."""

    key: str
    title: str
    width: int
    """The width in cells; for a stretching column, the preferred width."""
    least: int = 0
    """If above 0, the column stretches, and is shown if it can have at least this many cells."""
    text: bool = False
    """Whether it is aligned to the left, as texts are; numbers are aligned to the right."""
    from_width: int = 0
    """The column is left out if the table has fewer cells."""


class Cell(NamedTuple):
    """The text of a row in one column, and its style."""

    text: str
    style: str = ""
    """Names of `TEXT_STYLES`, separated by blanks."""


MORE_COLUMNS = "\u203a"
"""The mark for more columns to the right."""

Row = Sequence[Cell]


class Table(StyleCache, ScrollView, can_focus=True, inherit_bindings=False):
    """Rows and columns, one row under the cursor.

    Args:
        columns: The columns; the first is always visible.
        id: Textual's id of the widget.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--cursor", "table--header", "table--column"}
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("rows")]
    ROW_HEIGHT: ClassVar[int] = 1
    """The number of lines in a row."""
    HEADER_HEIGHT: ClassVar[int] = 1
    """1, or 0 if the columns have no titles; 2 if there is a line above the titles."""

    cursor: reactive[int] = reactive(0, repaint=False, init=False)

    @dataclass
    class Moved(Message):
        """Another row is under the cursor."""

        table: Table
        row: int

        @property
        def control(self) -> Table:
            """The table that posted it."""
            return self.table

    @dataclass
    class Chosen(Message):
        """A row was chosen: by a double click, or by a key if the table has one for that."""

        table: Table

        @property
        def control(self) -> Table:
            """The table that posted it."""
            return self.table

    @dataclass
    class TitleClicked(Message):
        """A column's title was clicked."""

        table: Table
        key: str

        @property
        def control(self) -> Table:
            """The table that posted it."""
            return self.table

    def __init__(self, columns: Sequence[Column] = (), *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._columns = tuple(columns)
        self._make_row: Callable[[int], Row | None] = lambda _row: None
        self.count = 0
        self.column = 0
        """The index of the column under the column cursor."""
        self.shows_column = False
        """Whether the column cursor is visible."""
        self.row_order: tuple[str, bool] | None = None
        """The key of the column that the rows are sorted by, and whether the largest comes first. The table
        only marks the column's title; whoever fills the table sorts the rows."""
        self.empty_text = ""
        """The text of a table without rows."""
        self._left = 1
        """The index of the column right after the first one."""
        self._layout: list[tuple[int, int]] | None = None
        self._layout_width = 0

    # What is shown.

    def fill(
        self,
        count: int,
        make_row: Callable[[int], Row | None],
        *,
        columns: Sequence[Column] | None = None,
        cursor: int | None = None,
    ) -> None:
        """Replaces the rows.

        Args:
            count: The number of rows.
            make_row: Makes a row; returns None if it is not known yet.
            columns: The new columns; None keeps the old ones.
            cursor: The row under the cursor; None leaves the cursor where it is.
        """
        if columns is not None and tuple(columns) != self._columns:
            self._columns = tuple(columns)
            self.column = min(self.column, len(self._columns) - 1)
            self._left, self._layout = 1, None
        self._make_row = make_row
        if count != self.count:
            self.count = count
            # Without `set_reactive`, every new batch of a running run would cause a layout of the whole screen.
            self.set_reactive(Table.virtual_size, Size(0, self.HEADER_HEIGHT + count * self.ROW_HEIGHT))
            if self.is_attached:
                self._scroll_update(self.virtual_size)
        self.set_reactive(Table.cursor, self.validate_cursor(self.cursor if cursor is None else cursor))
        self._reveal()
        self.refresh()

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, visible or not."""
        return self._columns

    def refresh_row(self, row: int) -> None:
        """Makes one row again, if it is visible."""
        top = self.HEADER_HEIGHT + row * self.ROW_HEIGHT - self.scroll_offset.y
        first, end = max(self.HEADER_HEIGHT, top), min(top + self.ROW_HEIGHT, self.size.height)
        if first < end:
            self.refresh(Region(0, first, self.size.width, end - first))

    # Moving.

    def validate_cursor(self, cursor: int) -> int:
        """Limits the cursor to the rows."""
        return max(0, min(cursor, self.count - 1))

    def watch_cursor(self, before: int, now: int) -> None:
        """Scrolls to the row, and posts `Moved`."""
        self._reveal()
        self.refresh_row(before)
        self.refresh_row(now)
        self.post_message(self.Moved(self, now))

    def action_move(self, rows: int) -> None:
        """Moves the cursor."""
        self.cursor += rows

    def action_page(self, pages: int) -> None:
        """Moves the cursor by pages."""
        seen = (self.size.height - self.HEADER_HEIGHT) // self.ROW_HEIGHT
        self.cursor += pages * max(1, seen - 1)

    def action_jump(self, to: str) -> None:
        """Moves the cursor to the `first` or `last` row."""
        self.cursor = self.count - 1 if to == "last" else 0

    def action_choose(self) -> None:
        """Chooses the row under the cursor, if there is one."""
        if self.count:
            self.post_message(self.Chosen(self))

    def action_column(self, columns: int) -> None:
        """Moves the column cursor."""
        self.to_column(self.column + columns)

    def to_column(self, column: int) -> None:
        """Moves the column cursor to a column, and scrolls to it."""
        self.column = max(0, min(column, len(self._columns) - 1))
        before = self._layout
        self._reveal_column()
        if self._laid_out() == before:
            self.refresh(Region(0, 0, self.size.width, self.HEADER_HEIGHT))
        else:
            self.refresh()

    def span_of(self, key: str) -> tuple[int, int]:
        """The first cell and the width of a column on the screen; a width of 0 if it is not visible."""
        start = 0
        for index, width in self._laid_out():
            if self._columns[index].key == key:
                return start, width
            start += width + 1
        return 0, 0

    def column_under(self, event: Click) -> int | None:
        """The index of the clicked column; None to the right of all columns."""
        end = self.gutter.left
        for index, width in self._laid_out():
            end += width + 1
            if event.x < end:
                return index
        return None

    def on_click(self, event: Click) -> None:
        """Moves the cursor to the clicked row; a double click chooses it. A click on a title posts `TitleClicked`."""
        if event.y < self.HEADER_HEIGHT:
            if (column := self.column_under(event)) is not None:
                self.post_message(self.TitleClicked(self, self._columns[column].key))
            return
        row = (event.y - self.HEADER_HEIGHT + self.scroll_offset.y) // self.ROW_HEIGHT
        if row < self.count:
            self.cursor = row
            if event.chain == 2:
                self.action_choose()

    def on_resize(self, _event: Resize) -> None:
        """Fits the columns to the new width."""
        self._left, self._layout = 1, None
        self._reveal()

    # Drawing.

    def render_line(self, y: int) -> Strip:
        """The titles, or a line of a row."""
        width = self.size.width
        if y < self.HEADER_HEIGHT:
            return self._header(width)
        row, line = divmod(y - self.HEADER_HEIGHT + self.scroll_offset.y, self.ROW_HEIGHT)
        if row >= self.count:
            words = [] if self.count else wrap(self.empty_text, max(width - 2, 1))
            line = y - self.HEADER_HEIGHT - 1
            text = words[line] if 0 <= line < len(words) else ""
            base = self.base_style
            return Strip([Segment(f" {text}", base + self.style_of("muted"))]).adjust_cell_length(width, base)
        base = self.get_component_rich_style("table--cursor") if row == self.cursor else self.base_style
        return Strip(self.row_line(row, line, base)).adjust_cell_length(width, base)

    def row_line(self, row: int, line: int, base: Style) -> list[Segment]:
        """A line of a row.

        Args:
            row: The row, from 0.
            line: The line within the row, from 0.
            base: The row's style: the cursor's on the row under the cursor.
        """
        cells = self._make_row(row)
        if cells is None:
            return [Segment(" …", base)]
        segments = []
        for index, room in self._laid_out():
            column, (text, style) = self._columns[index], cells[index]
            words = fitted(text, room, column.text)
            segments.append(Segment(f"{words} ", base + self.style_of(style) if style else base))
        return segments

    def _header(self, width: int) -> Strip:
        plain, chosen = (self.get_component_rich_style(f"table--{name}") for name in ("header", "column"))
        segments = []
        laid_out = self._laid_out()
        for index, room in laid_out:
            column = self._columns[index]
            title = column.title
            if self.row_order is not None and self.row_order[0] == column.key:
                title += "▼" if self.row_order[1] else "▲"
            style = chosen if self.shows_column and index == self.column else plain
            segments += [Segment(fitted(title, room, column.text), style), Segment(" ", plain)]
        strip = Strip(segments).adjust_cell_length(width, plain)
        edge = self.scrollable_content_region.width - 1  # beside the scroll bar
        if laid_out and laid_out[-1][0] < len(self._columns) - 1 and edge > 1:
            strip = Strip.join([strip.crop(0, edge), Strip([Segment(MORE_COLUMNS, plain)]), strip.crop(edge + 1)])
        return strip

    def _laid_out(self) -> list[tuple[int, int]]:
        """Index and width of each visible column."""
        if self._layout is not None and self._layout_width == self.size.width:
            return self._layout
        width, room, laid_out = self.size.width, self.size.width, list[tuple[int, int]]()
        for index in (0, *range(max(1, self._left), len(self._columns))):
            if index >= len(self._columns):
                break
            column = self._columns[index]
            if width < column.from_width:
                continue
            wanted = column.width if not column.least or column.width < room else min(column.least, column.width)
            if laid_out and wanted + 1 > room:
                break
            laid_out.append((index, wanted))
            room -= wanted + 1
        # The remaining width is divided among the stretching columns, in proportion to their widths.
        stretching = [number for number, (index, _) in enumerate(laid_out) if self._columns[index].least]
        wishes = sum(self._columns[laid_out[number][0]].width for number in stretching)
        for number in stretching:
            index, cells = laid_out[number]
            laid_out[number] = (index, cells + max(0, room) * self._columns[index].width // wishes)
        self._layout, self._layout_width = laid_out, self.size.width
        return laid_out

    def _reveal(self) -> None:
        """Scrolls the row under the cursor and the column under the column cursor into sight."""
        self._reveal_column()
        seen = self.size.height - self.HEADER_HEIGHT
        if seen < 1 or not self.count:
            return
        top, first = self.scroll_offset.y, self.cursor * self.ROW_HEIGHT
        if first < top:
            self.scroll_to(y=first, animate=False, immediate=True)
        elif first + self.ROW_HEIGHT > top + seen:
            self.scroll_to(y=first + self.ROW_HEIGHT - seen, animate=False, immediate=True)

    def _reveal_column(self) -> None:
        if not self.size.width:
            return
        if 0 < self.column < self._left:
            self._left, self._layout = self.column, None
        while self.column not in [index for index, _ in self._laid_out()] and self._left < self.column:
            self._left += 1
            self._layout = None


class ColumnTable(Table):
    """A table with keys for the column cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("columns")]


def fitted(text: str, width: int, left: bool = True) -> str:
    """The text in exactly `width` cells, safe to show: cut with an ellipsis, or padded (on the right if `left`)."""
    if width <= 0:
        return ""
    # Cut first, so that a text of a million characters is not measured to its end.
    text = visible(text[: 4 * width + 4])
    length = len(text) if text.isascii() else cell_len(text)
    if length > width:
        text, length = set_cell_size(text, width - 1) + "…", width
    if length < width:
        filling = " " * (width - length)
        return text + filling if left else filling + text
    return text
