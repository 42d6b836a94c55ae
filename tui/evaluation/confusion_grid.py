"""The confusion table: a row for each right answer, a column for each given one, and a cursor on a cell."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.events import Click, Resize
from textual.strip import Strip

from looptop.engine.text import counted
from looptop.engine.vqa.confusion import Confusion
from looptop.engine.vqa.evaluation.text import label_text, share
from looptop.tui.actions import bindings
from looptop.tui.widgets.table import Cell, Column, Row, Table, fitted

MOST_CELL_WIDTH = 12
LEAST_CELL_WIDTH = 6
LONGEST = 300
"""The most characters of an answer in the sentence about a cell."""


class ConfusionGrid(Table, inherit_bindings=False):
    """Counts of answers. The row under the cursor and the column under the column cursor make a cell."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("cells")]
    HEADER_HEIGHT = 2

    def __init__(self) -> None:
        super().__init__(id="confusion-page")
        self.shows_column = True
        self._table = Confusion((), ())
        self._before: Confusion | None = None

    def show(self, table: Confusion, before: Confusion | None = None, *, keeps_cell: bool = False) -> None:
        """Shows a table; the cursor is on the most frequent confusion, or on the first cell.

        Args:
            table: The table.
            before: The table that each cell's change is counted from; None shows no changes.
            keeps_cell: The cursor stays on its cell, if the table has it.
        """
        cell = self.cell if keeps_cell and self._table.labels else None
        if cell is not None and set(cell) <= set(table.labels):
            row, column = (table.labels.index(label) for label in cell)
        else:
            row, column = _most_frequent_confusion(table)
        self._table, self._before, self.column = table, before, 1 + column
        self._fill(row)

    @property
    def cell(self) -> tuple[str | None, str | None]:
        """The right answer and the given one under the cursor; None stands for all others."""
        return self._table.labels[self.cursor], self._table.labels[self.column - 1]

    @property
    def questions(self) -> int:
        """The number of questions under the cursor."""
        return self._table.counts[self.cursor][self.column - 1] if self._table.labels else 0

    @property
    def change(self) -> int | None:
        """The change of the number under the cursor; None if it is not known."""
        return self._change(self.cursor, self.column - 1) if self._table.labels else None

    @property
    def detail(self) -> str:
        """The cell under the cursor in a sentence, and what enter does."""
        return f"{self.sentence}{' Enter shows their images.' if self.questions else ''}"

    @property
    def sentence(self) -> str:
        """The cell under the cursor in a sentence."""
        if not self._table.labels:
            return ""
        truth, answer = (label_text(label)[:LONGEST] for label in self.cell)
        total = sum(self._table.counts[self.cursor])
        of = f" of {counted(total, 'question')} ({share(self.questions / total, 1)})" if total else ""
        return f"Right: {truth}; answered: {answer}: {self.questions:,}{of}."

    def _change(self, row: int, column: int) -> int | None:
        """The change of a count; None without a table before, or if that one has no such row or column."""
        before, labels = self._before, self._table.labels
        if before is None or not {labels[row], labels[column]} <= set(before.labels):
            return None
        was = before.counts[before.labels.index(labels[row])][before.labels.index(labels[column])]
        return self._table.counts[row][column] - was

    # Drawing.

    def _fill(self, row: int) -> None:
        """Makes the columns as wide as their names and counts need and the screen has room for."""
        labels = [label_text(label) for label in self._table.labels]
        names = [cell_len(label) for label in labels]
        name_width = min(max([*names, 7]), max(8, self.size.width // 5))
        longest = max((len(f"{count:,}") for counts in self._table.counts for count in counts), default=1)
        # A change needs a sign, a blank, and at most as many digits.
        least = max(LEAST_CELL_WIDTH, longest + 3 if self._before is None else 2 * longest + 5)
        room = (self.size.width - name_width - 2) // max(1, len(names))
        width = max(least, min(MOST_CELL_WIDTH, room, max(names, default=0) + 2)) - 1
        columns = [Column(str(number), label, width) for number, label in enumerate(labels)]
        self.fill(len(labels), self._row, columns=[Column("right", "", name_width, text=True), *columns], cursor=row)

    def _row(self, row: int) -> Row:
        name = Cell(label_text(self._table.labels[row]), "bold" if row == self.cursor else "muted")
        return [name, *(self._cell(row, column) for column in range(len(self._table.labels)))]

    def _cell(self, row: int, column: int) -> Cell:
        count, change = self._table.counts[row][column], self._change(row, column)
        text = f"{count:,}" if count or change else "·"
        if change:
            text += f" {'▲' if change > 0 else '▼'}{abs(change):,}"
        if not count:
            return Cell(text, "muted")
        return Cell(text, "good" if row == column and self._table.labels[row] is not None else "bad bold")

    def render_line(self, y: int) -> Strip:
        """What rows and columns are, then the lines of the table."""
        if y or not self._table.labels:
            return super().render_line(y)
        text = fitted(f"{'right ↓':{self.columns[0].width}}  answered →", self.size.width)
        return Strip([Segment(text, self.get_component_rich_style("table--header"))])

    def row_line(self, row: int, line: int, base: Style) -> list[Segment]:
        """A line of the table; in it, only the cell under the cursor has the cursor's style."""
        segments = super().row_line(row, line, self.base_style)
        if row == self.cursor:
            numbers = [number for number, _ in self._laid_out()]
            if self.column in numbers:
                # Brackets show the cursor without colours as well.
                at = numbers.index(self.column)
                text = segments[at].text
                segments[at] = Segment(f"[{text.strip()}]".rjust(cell_len(text)), base)
        return [*segments, Segment(" " * self.size.width, self.base_style)]

    def on_resize(self, _event: Resize) -> None:
        """Fits the columns to the new width; the table sees to the rest."""
        self._fill(self.cursor)

    # Moving.

    def to_column(self, column: int) -> None:
        """Moves the cursor to another cell of its row; the first column has the names."""
        super().to_column(max(1, column))
        self.refresh_row(self.cursor)
        self.post_message(self.Moved(self, self.cursor))

    def on_click(self, event: Click) -> None:
        """Moves the cursor to the clicked cell; the table sees to its row, and to a double click."""
        column = self.column_under(event)
        row = event.y - self.HEADER_HEIGHT + self.scroll_offset.y
        if column and 0 <= row < self.count:
            self.to_column(column)
        else:  # a name, a title, or beside the cells
            event.prevent_default()


def _most_frequent_confusion(table: Confusion) -> tuple[int, int]:
    """Row and column; the first cell without any."""
    wrong = [
        (count, row, column)
        for row, counts in enumerate(table.counts)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    _, row, column = max(wrong, key=lambda cell: cell[0], default=(0, 0, 0))
    return row, column
