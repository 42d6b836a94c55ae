"""The table of earlier questions, and the field in which they are filtered."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message
from textual.reactive import reactive

from looptop.tui.actions import bindings
from looptop.tui.widgets.field import Field
from looptop.tui.widgets.table import Column, Table

HINT = 'filter:  model:vqa-3  image:cat.png  wrong  confidence<0.5  "some words"'

COLUMNS = (
    Column("mark", "", 2, text=True),
    Column("answer", "answer", 10, text=True),
    Column("confidence", "confidence", 6),
    Column("question", "question", 20, least=12, text=True),
    Column("image", "image", 12, text=True),
    Column("model", "model", 14, text=True),
)
NARROW_COLUMNS = (
    Column("mark", "", 2, text=True),
    Column("answer", "answer", 9, text=True),
    Column("confidence", "confidence", 6),
    Column("question", "question", 12, least=8, text=True),
    Column("image", "image", 8, text=True),
    Column("model", "model", 8, text=True),
)
"""The columns of a list of less than `MIN_WIDTH` cells."""
MIN_WIDTH = 64


class HistoryFilter(Field):
    """The field in which the questions are filtered; esc closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("history-filter")]

    class Closed(Message):
        """The filter is to be closed."""

    def __init__(self) -> None:
        super().__init__(placeholder=HINT, id="history-filter")

    def action_close_filter(self) -> None:
        """Closes the filter."""
        self.post_message(self.Closed())


class HistoryTable(Table):
    """One line for each question; enter shows its answer again."""

    HEADER_HEIGHT = 0
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("history")]

    DEFAULT_CSS = """
    HistoryTable {
        height: 1fr;
        scrollbar-size-vertical: 1;
    }
    """

    is_filtered: reactive[bool] = reactive(False, repaint=False, bindings=True)
    """Whether a filter is open."""

    class FilterOpened(Message):
        """The filter is to be opened."""

    class FilterClosed(Message):
        """The filter is to be closed."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Esc closes a filter if there is one."""
        return self.is_filtered if action == "clear_filter" else super().check_action(action, parameters)

    def action_search(self) -> None:
        """Opens the filter."""
        self.post_message(self.FilterOpened())

    def action_clear_filter(self) -> None:
        """Closes the filter."""
        self.post_message(self.FilterClosed())
