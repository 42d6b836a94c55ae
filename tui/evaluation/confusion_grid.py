"""The confusion table: a row for each right answer, a column for each given one, and a cursor on a cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import BindingType
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widget import Widget

from looptop.engine.text import counted
from looptop.engine.vqa.confusion import Confusion
from looptop.engine.vqa.evaluation.text import label_text, share
from looptop.tui.actions import bindings
from looptop.tui.widgets.table import MORE_COLUMNS, fitted

MOST_CELL_WIDTH = 12
LEAST_CELL_WIDTH = 6
LONGEST = 300
"""The most characters of an answer in the sentence about a cell."""
HEADER = 2
"""Lines above the first row: what the columns are, and their names."""


class ConfusionGrid(Widget, can_focus=True):
    """Counts of answers. Cells that are not on the screen are scrolled to with the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("cells")]

    @dataclass
    class Moved(Message):
        """Another cell is under the cursor."""

        grid: ConfusionGrid

    @dataclass
    class Chosen(Message):
        """A cell was chosen."""

        grid: ConfusionGrid

    def __init__(self) -> None:
        super().__init__(id="confusion-page")
        self._table = Confusion((), ())
        self._before: Confusion | None = None
        self.row = self.column = 0
        self._top = self._left = 0
        """The first row and column on the screen."""

    def show(self, table: Confusion) -> None:
        """Shows a table; the cursor is on the most frequent confusion, or on the first cell."""
        self._table, self._before = table, None
        wrong = [
            (count, row, column)
            for row, counts in enumerate(table.counts)
            for column, count in enumerate(counts)
            if row != column
        ]
        count, row, column = max(wrong, key=lambda cell: cell[0], default=(0, 0, 0))
        self.row, self.column = (row, column) if count else (0, 0)
        self._top = self._left = 0
        self.refresh()

    def replace(self, table: Confusion, before: Confusion | None) -> None:
        """Shows another table of the same questions; the cursor stays on its cell, if the table has it.

        Args:
            table: The table.
            before: The table that each cell's change is counted from; None shows no changes.
        """
        cell = self.cell if self._table.labels else None
        if cell is None or not set(cell) <= set(table.labels):
            self.show(table)
        else:
            self._table = table
            self.row, self.column = (table.labels.index(label) for label in cell)
        self._before = before
        self.refresh()

    @property
    def cell(self) -> tuple[str | None, str | None]:
        """The right answer and the given one under the cursor; None stands for all others."""
        return self._table.labels[self.row], self._table.labels[self.column]

    @property
    def count(self) -> int:
        """The number of questions under the cursor."""
        return self._table.counts[self.row][self.column] if self._table.labels else 0

    @property
    def change(self) -> int | None:
        """The change of the count under the cursor; None if it is not known."""
        return self._change(self.row, self.column) if self._table.labels else None

    @property
    def detail(self) -> str:
        """The cell under the cursor in a sentence, and what enter does."""
        return f"{self.sentence}{' Enter shows their images.' if self.count else ''}"

    @property
    def sentence(self) -> str:
        """The cell under the cursor in a sentence."""
        if not self._table.labels:
            return ""
        truth, answer = (label_text(label)[:LONGEST] for label in self.cell)
        total = sum(self._table.counts[self.row])
        of = f" of {counted(total, 'question')} ({share(self.count / total, 1)})" if total else ""
        return f"Right: {truth}; answered: {answer}: {self.count:,}{of}."

    def _change(self, row: int, column: int) -> int | None:
        """The change of a count; None without a table before, or if that one has no such row or column."""
        before, labels = self._before, self._table.labels
        if before is None or not {labels[row], labels[column]} <= set(before.labels):
            return None
        was = before.counts[before.labels.index(labels[row])][before.labels.index(labels[column])]
        return self._table.counts[row][column] - was

    # Drawing.

    def render(self) -> Content:
        """The part of the table around the cursor that fits."""
        labels = self._table.labels
        if not labels or self.size.width < 20 or self.size.height < HEADER + 1:
            return Content("")
        name_width, cell_width = self._widths()
        rows = self.size.height - HEADER
        columns = max(1, (self.size.width - name_width - 1) // cell_width)
        self._top = _window(self._top, self.row, rows, len(labels))
        self._left = _window(self._left, self.column, columns, len(labels))
        shown_columns = range(self._left, min(self._left + columns, len(labels)))
        names = [fitted(label_text(labels[column]), cell_width - 1, left=False) for column in shown_columns]
        more = f" {MORE_COLUMNS}" if shown_columns.stop < len(labels) else ""
        lines = [
            Content.styled(fitted(f"{'right ↓':{name_width}} answered →{more}", self.size.width), "$text-muted"),
            Content.assemble(
                " " * name_width,
                *[
                    (f"{name} ", "bold" if column == self.column else "$text-muted")
                    for column, name in zip(shown_columns, names, strict=True)
                ],
            ),
        ]
        for row in range(self._top, min(self._top + rows, len(labels))):
            parts = [(fitted(label_text(labels[row]), name_width), "bold" if row == self.row else "$text-muted")]
            parts += [self._cell(row, column, cell_width) for column in shown_columns]
            lines.append(Content.assemble(*parts))
        return Content("\n").join(lines)

    def _cell(self, row: int, column: int, width: int) -> tuple[str, str]:
        count, change = self._table.counts[row][column], self._change(row, column)
        text = f"{count:,}" if count or change else "·"
        if change:
            text += f" {'▲' if change > 0 else '▼'}{abs(change):,}"
        is_here = row == self.row and column == self.column
        # Brackets show the cursor without colours as well.
        words = f"[{text}]".rjust(width) if is_here else f"{text} ".rjust(width)
        style = "$text-muted"
        if count:
            style = "$text-success" if row == column and self._table.labels[row] is not None else "$text-error bold"
        if is_here:
            style = f"$foreground on $primary {'40%' if self.has_focus else '20%'} bold"
        return words, style

    def _widths(self) -> tuple[int, int]:
        """The cells of the names at the left, and of a column."""
        names = [cell_len(label_text(label)) for label in self._table.labels]
        name_width = min(max([*names, 7]) + 1, max(8, self.size.width // 5))
        longest = max(len(f"{count:,}") for row in self._table.counts for count in row)
        # A change needs a sign, a blank, and at most as many digits.
        least = max(LEAST_CELL_WIDTH, longest + 3 if self._before is None else 2 * longest + 5)
        room = (self.size.width - name_width - 1) // len(names)
        return name_width, max(least, min(MOST_CELL_WIDTH, room, max(names) + 2))

    def on_focus(self) -> None:
        """Draws the cursor as active."""
        self.refresh()

    def on_blur(self) -> None:
        """Draws the cursor as inactive."""
        self.refresh()

    # Moving.

    def action_move(self, rows: int, columns: int) -> None:
        """Moves the cursor."""
        self._go(self.row + rows, self.column + columns)

    def action_choose(self) -> None:
        """Chooses the cell under the cursor."""
        self.post_message(self.Chosen(self))

    def on_click(self, event: Click) -> None:
        """Moves the cursor to the clicked cell; a double click chooses it."""
        if not self._table.labels:
            return
        name_width, cell_width = self._widths()
        row, column = event.y - HEADER + self._top, (event.x - name_width) // cell_width + self._left
        if event.y >= HEADER and event.x >= name_width and row < len(self._table.labels) > column:
            self._go(row, column)
            if event.chain == 2:
                self.action_choose()

    def _go(self, row: int, column: int) -> None:
        last = len(self._table.labels) - 1
        self.row, self.column = max(0, min(row, last)), max(0, min(column, last))
        self.refresh()
        self.post_message(self.Moved(self))


def _window(first: int, cursor: int, room: int, count: int) -> int:
    """The first of `room` lines of `count` so that the cursor is among them, moved as little as possible."""
    first = min(first, max(0, count - room))
    return min(cursor, max(first, cursor - room + 1))
