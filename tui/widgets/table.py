"""A table of any length: only the lines on the screen are made, so thousands of rows scroll like ten.

The line at the top names the columns and stays. The first column stays too; where the others do not all fit, the one
under the column cursor is brought into sight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from looptop.tui.widgets.keeps_style import KeepsStyle

if TYPE_CHECKING:
    from textual.events import Click, Resize


@dataclass(frozen=True)
class Column:
    """A column."""

    key: str
    title: str
    width: int
    """Cells; of one that stretches, those that it would like."""
    least: int = 0
    """Above 0: it stretches, and is shown where there are so many cells."""
    text: bool = False
    """Begins at the left, as words do; numbers end at the right."""


class Cell(NamedTuple):
    """What stands in a column of a row."""

    text: str
    style: str = ""
    """One of `STYLES`."""


MORE = "\u203a"
"""Says that there are more columns to the right."""

STYLES = ("muted", "good", "bad", "warn", "accent", "bold", "out")
Row = Sequence[Cell]


class Grid(KeepsStyle, ScrollView, can_focus=True, inherit_bindings=False):
    """Rows and columns, one row under the cursor.

    Args:
        columns: The first of them stays in sight.
        id: Textual's.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "grid--cursor",
        "grid--header",
        "grid--column",
        *(f"grid--{style}" for style in STYLES),
    }
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("rows")]

    cursor: reactive[int] = reactive(0, repaint=False, init=False)

    @dataclass
    class Moved(Message):
        """Another row is under the cursor."""

        grid: Grid
        row: int

        @property
        def control(self) -> Grid:
            """Whose it is."""
            return self.grid

    @dataclass
    class Chosen(Message):
        """A row was clicked twice."""

        grid: Grid

        @property
        def control(self) -> Grid:
            """Whose it is."""
            return self.grid

    @dataclass
    class TitleClicked(Message):
        """A column's title was clicked."""

        grid: Grid
        key: str

        @property
        def control(self) -> Grid:
            """Whose it is."""
            return self.grid

    def __init__(self, columns: Sequence[Column] = (), *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._columns = tuple(columns)
        self._make: Callable[[int], Row | None] = lambda _row: None
        self.count = 0
        self.column = 0
        """Under the column cursor."""
        self.shows_column = False
        """Whether the column cursor is seen."""
        self.sort: tuple[str, bool] | None = None
        """By which column the rows are sorted, and whether the largest comes first."""
        self.empty = ""
        """What to say where there is no row."""
        self._left = 1
        self._layout: list[tuple[int, int]] | None = None

    # What is shown.

    def fill(
        self,
        count: int,
        make: Callable[[int], Row | None],
        *,
        columns: Sequence[Column] | None = None,
        cursor: int | None = None,
    ) -> None:
        """Shows other rows.

        Args:
            count: How many there are.
            make: Makes one; None where it is not known yet.
            columns: Other columns than before.
            cursor: The row under the cursor; None leaves it where it is.
        """
        if columns is not None and tuple(columns) != self._columns:
            self._columns = tuple(columns)
            self.column = min(self.column, len(self._columns) - 1)
            self._left, self._layout = 1, None
        self._make = make
        if count != self.count:
            self.count = count
            # Set plainly it would lay out the whole screen anew, with every batch of a run that trains.
            self.set_reactive(Grid.virtual_size, Size(0, count + 1))
            self._scroll_update(self.virtual_size)
        self.set_reactive(Grid.cursor, self.validate_cursor(self.cursor if cursor is None else cursor))
        self._reveal()
        self.refresh()

    @property
    def columns(self) -> tuple[Column, ...]:
        """All of them, in sight or not."""
        return self._columns

    def refresh_row(self, row: int) -> None:
        """Makes one row anew, where it is in sight."""
        y = row + 1 - self.scroll_offset.y
        if 1 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    # Moving.

    def validate_cursor(self, cursor: int) -> int:
        """Keeps it on a row."""
        return max(0, min(cursor, self.count - 1))

    def watch_cursor(self, before: int, now: int) -> None:
        """Shows the row, and tells which it is."""
        self._reveal()
        self.refresh_row(before)
        self.refresh_row(now)
        self.post_message(self.Moved(self, now))

    def action_move(self, rows: int) -> None:
        """Moves the cursor."""
        self.cursor += rows

    def action_page(self, pages: int) -> None:
        """Moves the cursor by what is seen."""
        self.cursor += pages * max(1, self.size.height - 2)

    def action_end(self, last: bool) -> None:
        """Moves the cursor to the first or last row."""
        self.cursor = self.count - 1 if last else 0

    def action_column(self, columns: int) -> None:
        """Moves the column cursor."""
        self.to_column(self.column + columns)

    def to_column(self, column: int) -> None:
        """Puts the column cursor there, and brings the column into sight."""
        self.column = max(0, min(column, len(self._columns) - 1))
        if 0 < self.column < self._left:
            self._left = self.column
        before, self._layout = self._layout, None
        while self.column not in [place for place, _ in self._laid_out()] and self._left < self.column:
            self._left += 1
            self._layout = None
        if self._laid_out() == before:
            self.refresh(Region(0, 0, self.size.width, 1))
        else:
            self.refresh()

    def on_click(self, event: Click) -> None:
        """Moves the cursor to the row, twice chooses it; a title says that it was clicked."""
        if event.y == 0:
            at = 0
            for place, width in self._laid_out():
                at += width + 1
                if event.x < at:
                    self.post_message(self.TitleClicked(self, self._columns[place].key))
                    return
            return
        row = event.y - 1 + self.scroll_offset.y
        if row < self.count:
            self.cursor = row
            if event.chain == 2:
                self.post_message(self.Chosen(self))

    def on_resize(self, _event: Resize) -> None:
        """Lays the columns out anew."""
        self._layout = None
        self._reveal()

    # Drawing.

    def render_line(self, y: int) -> Strip:
        """The titles, or a row."""
        width = self.size.width
        base = self.base_style
        if y == 0:
            return self._header(width, base)
        row = y - 1 + self.scroll_offset.y
        if row >= self.count:
            said = self.empty if not self.count and y == 2 else ""
            return Strip([Segment(f" {said}", base + self._style("muted"))]).adjust_cell_length(width, base)
        if row == self.cursor:
            base = self.get_component_rich_style("grid--cursor")
        cells = self._make(row)
        if cells is None:
            return Strip([Segment(" …", base)]).adjust_cell_length(width, base)
        segments = []
        for place, room in self._laid_out():
            column, (text, style) = self._columns[place], cells[place]
            words = fitted(text, room, column.text)
            segments.append(Segment(f"{words} ", base + self._style(style) if style else base))
        return Strip(segments).adjust_cell_length(width, base)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"grid--{name}", partial=True)

    def _header(self, width: int, base: Style) -> Strip:
        plain, chosen = (self.get_component_rich_style(f"grid--{name}") for name in ("header", "column"))
        segments = []
        laid = self._laid_out()
        for place, room in laid:
            column = self._columns[place]
            title = column.title
            if self.sort is not None and self.sort[0] == column.key:
                title += "▼" if self.sort[1] else "▲"
            style = chosen if self.shows_column and place == self.column else plain
            segments += [Segment(fitted(title, room, column.text), style), Segment(" ", plain)]
        strip = Strip(segments).adjust_cell_length(width, plain)
        if laid and laid[-1][0] < len(self._columns) - 1 and width > 2:
            strip = Strip.join([strip.crop(0, width - 1), Strip([Segment(MORE, plain)])])
        return strip

    def _laid_out(self) -> list[tuple[int, int]]:
        """The columns in sight, by their places, each with its cells."""
        if self._layout is not None:
            return self._layout
        room, found = self.size.width, list[tuple[int, int]]()
        for place in (0, *range(max(1, self._left), len(self._columns))):
            if place >= len(self._columns):
                break
            column = self._columns[place]
            wanted = column.width if not column.least or column.width < room else min(column.least, column.width)
            if found and wanted + 1 > room:
                break
            found.append((place, wanted))
            room -= wanted + 1
        # What is left is shared by those that stretch, more by those that would like more.
        stretching = [index for index, (place, _) in enumerate(found) if self._columns[place].least]
        wishes = sum(self._columns[found[index][0]].width for index in stretching)
        for index in stretching:
            place, width = found[index]
            found[index] = (place, width + max(0, room) * self._columns[place].width // wishes)
        self._layout = found
        return found

    def _reveal(self) -> None:
        if self.size.height < 2 or not self.count:
            return
        top, seen = self.scroll_offset.y, self.size.height - 1
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True)
        elif self.cursor >= top + seen:
            self.scroll_to(y=self.cursor - seen + 1, animate=False, immediate=True)


def fitted(text: str, width: int, left: bool = True) -> str:
    """The text in exactly so many cells: safe, cut with an ellipsis, or filled up at the end, or else in front."""
    if width <= 0:
        return ""
    # Nobody sees more than a line of it: a text of a million characters is not measured to its end.
    text = visible(text[: 4 * width + 4])
    length = len(text) if text.isascii() else cell_len(text)
    if length > width:
        text, length = set_cell_size(text, width - 1) + "…", width
    if length < width:
        filling = " " * (width - length)
        return text + filling if left else filling + text
    return text
