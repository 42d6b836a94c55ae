"""The rows of a table of answers: which ones the filter accepts, in which order, and their cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from looptop.engine.text import visible_answer
from looptop.engine.vqa.confidence.doubts import doubt_name
from looptop.tui.ask.answers.kept_answers import mark_of
from looptop.tui.text import probability
from looptop.tui.widgets.table import Cell, Column, Row

if TYPE_CHECKING:
    from looptop.engine.asked.records import Entry
    from looptop.engine.filters.vocabulary import Filter
    from looptop.tui.ask.many.answers import ManyAnswers, ModelAnswers


class AnswerColumn(NamedTuple):
    """A column, and what it shows of the question with an index."""

    column: Column
    cell: Callable[[int], Cell]
    value: Callable[[int], Any]
    """The value to sort by; None comes last."""
    model: ModelAnswers | None = None
    """The model whose answers it shows."""


class ManyRows:
    """The rows to show. Only what is new is tested by the filter.

    Args:
        many: The questions and their answers.
    """

    def __init__(self, many: ManyAnswers) -> None:
        self.many = many
        self._columns = columns_of(many)
        self.sort: tuple[str, bool] | None = None
        """The key of the column that rows are sorted by, and whether the largest comes first; None for the list's
        order."""
        self.filter: Filter[Entry] | None = None
        """Which answers are shown; None for all."""
        self._accepted: set[int] = set()
        self.indices: list[int] = []
        """The questions on display, in order."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns."""
        return tuple(each.column for each in self._columns)

    @property
    def first_answer(self) -> int:
        """The index of the column of the first model's answers."""
        return next(index for index, each in enumerate(self._columns) if each.model) + 1

    def model_at(self, column: int) -> ModelAnswers:
        """The model whose answers a column shows; else that of the nearest column at the left, else the first one."""
        models = [each.model for each in self._columns[: column + 1] if each.model is not None]
        return models[-1] if models else self.many.models[0]

    @property
    def is_filtered(self) -> bool:
        """Whether a filter is set."""
        return self.filter is not None

    def use_filter(self, chosen: Filter[Entry] | None) -> None:
        """Shows only questions of which this filter accepts an answer; None shows everything."""
        self.filter = chosen
        self._accepted = set()
        self._test(range(len(self.many.questions)))
        self.arrange()

    def take_new(self) -> None:
        """Takes over the answers that have come."""
        new, self.many.new = self.many.new, []
        self._test(new)
        self.arrange()

    def arrange(self) -> None:
        """Puts the rows in order."""
        indices: Iterable[int] = range(len(self.many.questions)) if self.filter is None else sorted(self._accepted)
        if self.sort is not None:
            key, largest_first = self.sort
            value = next(each.value for each in self._columns if each.column.key == key)
            known = [(given, index) for index in indices if (given := value(index)) is not None]
            known.sort(key=lambda pair: pair[0], reverse=largest_first)
            ordered = [index for _, index in known]
            rest = set(ordered)
            indices = ordered + [index for index in indices if index not in rest]
        self.indices = list(indices)

    def _test(self, indices: Iterable[int]) -> None:
        if self.filter is None:
            return
        for index in indices:
            if any(map(self.filter.holds, self.many.entries_of(index))):
                self._accepted.add(index)
            else:
                self._accepted.discard(index)

    def cells(self, row: int) -> Row:
        """A row's cells."""
        index = self.indices[row]
        return [each.cell(index) for each in self._columns]


def columns_of(many: ManyAnswers) -> list[AnswerColumn]:
    """The columns: a question only where each image has its own, a right answer only where the data has some."""
    questions = many.questions
    columns = [
        AnswerColumn(
            Column("image", "image", 10, least=8, text=True),
            lambda index: Cell(questions[index].image.name),
            lambda index: str(questions[index].image).lower(),
        )
    ]
    if not many.question:
        columns.append(
            AnswerColumn(
                Column("question", "question", 24, least=14, text=True),
                lambda index: Cell(questions[index].question),
                lambda index: questions[index].question.lower(),
            )
        )
    for number, model in enumerate(many.models):
        columns += _columns_of_model(model, str(number) if number else "", len(many.models) > 1)
    if any(each.truths for each in questions):
        columns.append(
            AnswerColumn(
                Column("truth", "right answer", 12, least=8, text=True),
                lambda index: Cell(_right_answer(many, index), "muted"),
                lambda index: _right_answer(many, index).lower() or None,
            )
        )
    columns.append(
        AnswerColumn(
            # The columns of several models can be scrolled.
            Column("doubt", "doubt", 16, text=True, from_width=100 if len(many.models) == 1 else 0),
            lambda index: Cell(_doubts(many, index), "warn"),
            lambda index: _doubts(many, index) or None,
        )
    )
    return columns


def _columns_of_model(model: ModelAnswers, number: str, named: bool) -> list[AnswerColumn]:
    """Mark, answer and confidence.

    Args:
        model: The model.
        number: The end of the columns' keys.
        named: Whether the model's name stands above its answers.
    """

    def answered(get: Callable[[Entry], Any]) -> Callable[[int], Any]:
        return lambda index: get(model.entries[index]) if index in model.entries else None

    def answer(index: int) -> Cell:
        if (entry := model.entries.get(index)) is not None:
            return Cell(visible_answer(entry.answer.answer), "bold")
        error = model.errors.get(index)
        return Cell("·", "muted") if error is None else Cell(error, "bad")

    mark = answered(lambda entry: Cell(*mark_of(entry)))
    confidence = answered(lambda entry: Cell(probability(entry.answer.confidence)))
    certainty = ("conf.", 6) if named else ("confidence", 10)
    return [
        AnswerColumn(
            Column(f"mark{number}", "", 2, text=True),
            lambda index: mark(index) or Cell(""),
            answered(lambda entry: entry.right),
            model,
        ),
        AnswerColumn(
            Column(f"answer{number}", model.model if named else "answer", 12, least=10, text=True),
            answer,
            answered(lambda entry: entry.answer.answer.lower()),
            model,
        ),
        AnswerColumn(
            Column(f"confidence{number}", *certainty),
            lambda index: confidence(index) or Cell(""),
            answered(lambda entry: entry.answer.confidence),
            model,
        ),
    ]


def _right_answer(many: ManyAnswers, index: int) -> str:
    """The right answer: the person's, else the data's; empty if nobody said."""
    confirmed = next((entry.confirmed_answer for entry in many.entries_of(index) if entry.confirmed_answer), "")
    return confirmed or next((entry.truth for entry in many.entries_of(index)), "")


def _doubts(many: ManyAnswers, index: int) -> str:
    """The doubts of all models; with the model's name if others do not share it."""
    models = dict[str, list[str]]()
    entries = many.entries_of(index)
    for entry in entries:
        for name in map(doubt_name, entry.answer.doubts):
            models.setdefault(name, []).append(entry.answer.model)
    return ", ".join(
        name if len(doubting) == len(entries) else f"{name} ({', '.join(doubting)})"
        for name, doubting in models.items()
    )
