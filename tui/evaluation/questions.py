"""Tables of questions: the hardest, the likely mislabelled, and those that two models answer differently."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from looptop.engine.text import counted
from looptop.engine.vqa.evaluation.text import answer_text, share
from looptop.tui.actions import bindings
from looptop.tui.widgets.table import Cell, Column, Row, Table

if TYPE_CHECKING:
    from looptop.engine.vqa.evaluation.comparison import ChangedQuestion
    from looptop.engine.vqa.evaluation.records import QuestionResult

QUESTION = Column("question", "question", 36, least=18, text=True)
TRUTH = Column("truth", "right answer", 14, least=9, text=True)
ANSWER = Column("answer", "answered", 14, least=9, text=True)


class QuestionTable(Table):
    """Questions with what the model answered; enter opens their images.

    Args:
        id: Textual's id of the widget.
        empty: What is shown if there are no questions.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("evaluation-rows")]
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        QUESTION,
        TRUTH,
        ANSWER,
        Column("confidence", "confidence", 10),
        Column("truth_confidence", "p(right)", 8, from_width=76),
        Column("neighbours", "neighbours", 10, from_width=100),
        Column("image", "image", 24, least=12, text=True, from_width=90),
    )

    def __init__(self, *, id: str, empty: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(self.COLUMNS, id=id)
        self.results: Sequence[QuestionResult] = ()
        self.empty_text = empty

    def show(self, results: Sequence[QuestionResult]) -> None:
        """Shows questions."""
        self.results = results
        self.fill(len(results), self._row, cursor=0)

    @property
    def detail(self) -> str:
        """The question under the cursor in a sentence."""
        if not self.results:
            return ""
        one = self.results[self.cursor]
        neighbours = ""
        if one.neighbours:
            neighbours = (
                f" Its answer is the right one for {one.neighbours_agree} of the"
                f" {counted(one.neighbours, 'most similar image')} with this question."
            )
        return (
            f"{one.question} Right: {answer_text(one.truth)} with {share(one.truth_confidence, 1)};"
            f" answered: {answer_text(one.answer)} with {share(one.confidence, 1)}.{neighbours}"
        )

    def _row(self, row: int) -> Row:
        one = self.results[row]
        votes = f"{one.neighbours_agree} of {one.neighbours}" if one.neighbours else ""
        return (
            Cell(one.question),
            Cell(answer_text(one.truth)),
            Cell(answer_text(one.answer), "good" if one.right else "bad"),
            Cell(share(one.confidence, 1)),
            Cell(share(one.truth_confidence, 1)),
            Cell(votes),
            Cell(PurePath(one.image).name, "muted"),
        )


class ChangedQuestionTable(Table):
    """Questions that exactly one of two models answers right; enter opens their images."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("evaluation-rows")]

    def __init__(self) -> None:
        super().__init__(id="changed")
        self.changed: Sequence[ChangedQuestion] = ()
        self.empty_text = "no question is answered right by one model and wrong by the other"

    def show(self, first: str, second: str, changed: Sequence[ChangedQuestion]) -> None:
        """Shows the questions, with the models' names as titles."""
        self.changed = changed
        columns = (
            Column("change", "", 6, text=True),
            QUESTION,
            TRUTH,
            Column("first", first, 16, least=9, text=True),
            Column("second", second, 16, least=9, text=True),
            Column("image", "image", 20, least=12, text=True, from_width=100),
        )
        self.fill(len(changed), self._row, columns=columns, cursor=0)

    @property
    def detail(self) -> str:
        """The question under the cursor in a sentence."""
        if not self.changed:
            return ""
        first, second = self.changed[self.cursor].first, self.changed[self.cursor].second
        return (
            f"{first.question} Right: {answer_text(first.truth)}; {answer_text(first.answer)} with"
            f" {share(first.confidence, 1)}, {answer_text(second.answer)} with {share(second.confidence, 1)}."
        )

    def _row(self, row: int) -> Row:
        first, second = self.changed[row].first, self.changed[row].second
        return (
            Cell("lost", "bad") if first.right else Cell("won", "good"),
            Cell(first.question),
            Cell(answer_text(first.truth)),
            Cell(answer_text(first.answer), "good" if first.right else "bad"),
            Cell(answer_text(second.answer), "good" if second.right else "bad"),
            Cell(PurePath(first.image).name, "muted"),
        )
