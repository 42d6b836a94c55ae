"""The questions of this session and their answers, the newest first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from looptop.engine.text import visible_answer
from looptop.tui.text import cell, percent, safe

if TYPE_CHECKING:
    from textual.app import RenderResult

    from looptop.engine.vqa.answer_records import Answer


@dataclass(frozen=True)
class Exchange:
    """A question about an image, and what the model said."""

    path: Path
    question: str
    answer: Answer
    truth: str | None
    """What the benchmark says, where it asks the same."""


class History(Vertical):
    """Earlier questions; enter shows one again."""

    @dataclass
    class Again(Message):
        """One shall be shown again."""

        exchange: Exchange

    def __init__(self) -> None:
        super().__init__(id="history")
        self.border_title = "Earlier questions"
        self._exchanges: list[Exchange] = []

    def render(self) -> RenderResult:
        """A sentence; the list comes with the first answer."""
        return "" if self._exchanges else Content.styled(" Questions that you have asked stay here.", "$text-muted")

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._exchanges)

    def add(self, exchange: Exchange) -> None:
        """Puts a new one at the top."""
        from looptop.tui.ask.history_list import HistoryList

        self._exchanges.insert(0, exchange)
        if not self.query(HistoryList):
            self.mount(HistoryList())
        self.call_after_refresh(self._show)

    def _show(self) -> None:
        from looptop.tui.ask.history_list import HistoryList

        self.query_one(HistoryList).show([_line(each) for each in self._exchanges])

    def again(self, row: int) -> None:
        """Asks to show the one in a row."""
        self.post_message(self.Again(self._exchanges[row]))


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
