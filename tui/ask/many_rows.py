"""The rows of a table of answers: which ones the filter accepts, in which order, and their cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from looptop.engine.text import visible_answer
from looptop.tui.ask.history import mark_of
from looptop.tui.text import probability
from looptop.tui.widgets.table import Cell, Column, Row

if TYPE_CHECKING:
    from looptop.engine.asked.records import Entry
    from looptop.engine.filters.vocabulary import Filter
    from looptop.tui.ask.many_answers import ManyAnswers

MARK = Column("mark", "", 2, text=True)
IMAGE = Column("image", "image", 10, least=8, text=True)
QUESTION = Column("question", "question", 24, least=14, text=True)
ANSWER = Column("answer", "answer", 12, least=10, text=True)
CONFIDENCE = Column("confidence", "confidence", 10)
TRUTH = Column("truth", "right answer", 12, least=8, text=True)
DOUBT = Column("doubt", "doubt", 16, text=True, from_width=100)


class ManyRows:
    """The rows to show. Only what is new is tested by the filter.

    Args:
        many: The questions and their answers.
    """

    def __init__(self, many: ManyAnswers) -> None:
        self.many = many
        self.columns = columns_of(many)
        self.sort: tuple[str, bool] | None = None
        """The key of the column that rows are sorted by, and whether the largest comes first; None for the list's
        order."""
        self._filter: Filter[Entry] | None = None
        self._accepted: set[int] = set()
        self.indices: list[int] = []
        """The questions on display, in order."""

    @property
    def is_filtered(self) -> bool:
        """Whether a filter is set."""
        return self._filter is not None

    def use_filter(self, chosen: Filter[Entry] | None) -> None:
        """Shows only what this filter accepts; None shows everything."""
        self._filter = chosen
        self._accepted = set()
        self._test(self.many.entries)
        self.arrange()

    def take_new(self) -> None:
        """Takes over the answers that have come."""
        new, self.many.new = self.many.new, []
        self._test(new)
        self.arrange()

    def arrange(self) -> None:
        """Puts the rows in order."""
        indices: Iterable[int] = range(len(self.many.questions)) if self._filter is None else sorted(self._accepted)
        if self.sort is not None:
            key, largest_first = self.sort
            value = _VALUES[key]
            known = [(given, index) for index in indices if (given := value(self.many, index)) is not None]
            known.sort(key=lambda pair: pair[0], reverse=largest_first)
            ordered = [index for _, index in known]
            rest = set(ordered)
            indices = ordered + [index for index in indices if index not in rest]
        self.indices = list(indices)

    def _test(self, indices: Iterable[int]) -> None:
        if self._filter is None:
            return
        for index in indices:
            if self._filter.holds(self.many.entries[index]):
                self._accepted.add(index)
            else:
                self._accepted.discard(index)

    def cells(self, row: int) -> Row:
        """A row's cells."""
        index = self.indices[row]
        return [self._cell(column.key, index) for column in self.columns]

    def _cell(self, key: str, index: int) -> Cell:
        asked, entry = self.many.questions[index], self.many.entries.get(index)
        if key == "image":
            return Cell(asked.image.name)
        if key == "question":
            return Cell(asked.question)
        if entry is None:
            error = self.many.errors.get(index)
            return Cell("" if key != "answer" else "·" if error is None else error, "bad" if error else "muted")
        match key:
            case "mark":
                return Cell(*mark_of(entry))
            case "answer":
                return Cell(visible_answer(entry.answer.answer), "bold")
            case "confidence":
                return Cell(probability(entry.answer.confidence))
            case "truth":
                return Cell(right_answer(entry), "muted")
            case _:
                return Cell(_doubts(entry), "warn")


def columns_of(many: ManyAnswers) -> tuple[Column, ...]:
    """The columns: a question only where each image has its own, a right answer only where the data has some."""
    columns = [MARK, IMAGE]
    if not many.question:
        columns.append(QUESTION)
    columns += [ANSWER, CONFIDENCE]
    if any(each.truths for each in many.questions):
        columns.append(TRUTH)
    return (*columns, DOUBT)


def right_answer(entry: Entry) -> str:
    """The right answer: the person's, else the data's; empty if nobody said."""
    return entry.taught or entry.truth


def _doubts(entry: Entry) -> str:
    from looptop.engine.vqa.doubt_text import doubt_name

    return ", ".join(map(doubt_name, entry.answer.doubts))


def _answered(get: Callable[[Entry], Any]) -> Callable[[ManyAnswers, int], Any]:
    def value(many: ManyAnswers, index: int) -> Any:
        entry = many.entries.get(index)
        return None if entry is None else get(entry)

    return value


_VALUES: dict[str, Callable[[ManyAnswers, int], Any]] = {
    "mark": _answered(lambda entry: entry.right),
    "image": lambda many, index: str(many.questions[index].image).lower(),
    "question": lambda many, index: many.questions[index].question.lower(),
    "answer": _answered(lambda entry: entry.answer.answer.lower()),
    "confidence": _answered(lambda entry: entry.answer.confidence),
    "truth": _answered(lambda entry: right_answer(entry).lower() or None),
    "doubt": _answered(lambda entry: _doubts(entry) or None),
}
"""The value to sort by, by the column's key; None comes last."""
