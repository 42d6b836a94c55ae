"""The questions of this session and their answers, the newest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from looptop.engine.text import visible_answer
from looptop.tui.actions import bindings
from looptop.tui.text import cell, percent, safe
from looptop.tui.widgets.options import Options

if TYPE_CHECKING:
    from textual.app import RenderResult

    from looptop.engine.vqa.answer_records import Answer


@dataclass(frozen=True)
class Exchange:
    """A question about an image, and the model's answer."""

    path: Path
    question: str
    answer: Answer
    truth: str | None
    """The benchmark's answer, if this is one of its questions."""


class HistoryList(Options):
    """One line for each question; enter shows its answer again."""

    DEFAULT_CSS = """
    HistoryList {
        height: 1fr;
        max-height: 1fr;
        background: transparent;
        border: none;
        padding: 0;
        text-wrap: nowrap;
        text-overflow: ellipsis;
        scrollbar-size-vertical: 1;

        &:focus {
            border: none;
            background-tint: $foreground 0%;
        }

        & > .option-list--option-highlighted {
            background: $panel;
            color: $foreground;
            text-style: none;
        }

        &:focus > .option-list--option-highlighted {
            background: $primary 30%;
            color: $foreground;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("history")]

    def show(self, lines: Iterable[Content]) -> None:
        """Replaces the lines; the first is highlighted."""
        self.set_options([Option(line) for line in lines])
        self.highlighted = 0

    def action_again(self) -> None:
        """Shows the highlighted answer again, as a click does."""
        self.action_select()


class History(Vertical):
    """The list of earlier questions, with a sentence while it is empty."""

    @dataclass
    class Again(Message):
        """An earlier answer was chosen."""

        exchange: Exchange

    def __init__(self) -> None:
        super().__init__(id="history")
        self.border_title = "Earlier questions"
        self._exchanges: list[Exchange] = []

    def render(self) -> RenderResult:
        """The sentence; the list comes with the first answer."""
        return "" if self._exchanges else Content.styled(" Questions that you have asked stay here.", "$text-muted")

    @property
    def count(self) -> int:
        """The number of questions."""
        return len(self._exchanges)

    def add(self, exchange: Exchange) -> None:
        """Adds a question and its answer at the top."""
        self._exchanges.insert(0, exchange)
        if not self.query(HistoryList):
            self.mount(HistoryList())
        self.call_after_refresh(self._show)

    def _show(self) -> None:
        self.query_one(HistoryList).show([_line(each) for each in self._exchanges])

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Again(self._exchanges[event.option_index]))


_MODEL = 12
"""Cells for the name of the model that answered."""


def _line(exchange: Exchange) -> Content:
    mark = Content("  ")
    if exchange.truth is not None:
        right = exchange.truth == exchange.answer.answer
        mark = Content.styled("✓ ", "$text-success") if right else Content.styled("✗ ", "$text-error")
    return Content.assemble(
        mark,
        cell(visible_answer(exchange.answer.answer), 10, "bold"),
        percent(exchange.answer.confidence),
        "  ",
        cell(exchange.answer.model, _MODEL, "$text-muted"),
        "  ",
        safe(exchange.question[:200]),
        safe(f"  {exchange.path.name}", "$text-muted"),
    )
