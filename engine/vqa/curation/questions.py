"""The training questions of a run with their figures and edits, sorted and filtered, 100,000 of them in a moment.

Filters have the grammar of `engine/filters`: `loss>2 confidence<30% answer:red edited -"how many"`.

- `loss`, `confidence` and `variability` are compared with a number, or with one in percent.
- `answer:` is part of the label or of the new answer; `question:`, `image:` (the file's name) contain the value;
  `id:` is the whole id.
- `edited`: it has another answer or is left out; `dropped`: it is left out.
- Any other word occurs in the question, the answers or the image's name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from operator import attrgetter
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from looptop.engine.errors import LooptopError
from looptop.engine.filters import grammar
from looptop.engine.filters.expressions import FLAG, OPERATORS, Comparison, Expression, Group, Match
from looptop.engine.filters.vocabulary import Filter, NumberField, TextField, Vocabulary, Word, suggestion
from looptop.engine.text import counted, visible
from looptop.engine.vqa.curation.edits import current_edits
from looptop.engine.vqa.curation.journal import CurationJournal, EpochLosses
from looptop.engine.vqa.curation.records import Edit, TrainingQuestion
from looptop.engine.vqa.curation.statistics import Numbers, confidences_of, statistics_of

Rows = npt.NDArray[np.intp]
SortKey = Literal["loss", "confidence", "variability", "question", "answer", "edited"]
SORT_KEYS: tuple[SortKey, ...] = get_args(SortKey)

HARD_FIRST: Mapping[str, bool] = {"loss": True, "confidence": False, "variability": True, "edited": True}
"""Of each key whether its largest values come first by default, so that what to look at is at the top."""


class CuratedQuestion(Struct, frozen=True):
    """One training question, its figures and its edit."""

    row: int
    """Its row in the training split."""
    question_id: str
    image: str
    question: str
    answer: str
    """The label in the data."""
    edited_answer: str | None
    """The answer that a person gave it; None if there is none."""
    is_dropped: bool
    """Whether a person left it out of training."""
    loss: float
    """In the last epoch that trained on it, in nats; NaN if none did."""
    confidence: float
    """The mean over the epochs, from 0 to 1."""
    variability: float
    """The standard deviation of the confidence over the epochs."""

    @property
    def trained_answer(self) -> str | None:
        """The answer that the next epoch trains on; None if the question is left out."""
        if self.is_dropped:
            return None
        return self.answer if self.edited_answer is None else self.edited_answer

    @property
    def answers(self) -> str:
        """Both answers, in which a filter searches."""
        return "\n".join(filter(None, (self.answer, self.edited_answer)))

    @property
    def image_name(self) -> str:
        """The name of the image's file."""
        return self.image.rpartition("/")[2]


class QuestionTexts:
    """The texts of all questions, which never change; with lower-case copies for searching, made when needed."""

    def __init__(self, questions: list[TrainingQuestion]) -> None:
        self.questions = questions

    def __len__(self) -> int:
        return len(self.questions)

    @cached_property
    def lower_questions(self) -> list[str]:
        """The questions."""
        return [each.question.lower() for each in self.questions]

    @cached_property
    def lower_answers(self) -> list[str]:
        """The labels."""
        return [each.answer.lower() for each in self.questions]

    @cached_property
    def lower_image_names(self) -> list[str]:
        """The names of the images' files."""
        return [each.image.rpartition("/")[2].lower() for each in self.questions]

    @cached_property
    def lower_ids(self) -> list[str]:
        """The ids."""
        return [each.question_id.lower() for each in self.questions]


class CuratedQuestions:
    """All training questions of a run at one moment.

    Args:
        texts: Their texts.
        epochs: Their losses in each epoch, the first epoch first.
        edits: All edits, in the order in which they were made.

    Raises:
        LooptopError: The losses are of another number of questions.
    """

    def __init__(self, texts: QuestionTexts, epochs: list[EpochLosses], edits: Iterable[Edit]) -> None:
        if any(len(epoch.losses) != len(texts) for epoch in epochs):
            raise LooptopError("the journal is damaged: it has losses of another number of training questions")
        self.texts = texts
        self.epochs = epochs
        self.edits = {row: edit for row, edit in current_edits(edits).items() if 0 <= row < len(texts)}
        """The edits that hold, by row."""
        self.statistics = statistics_of([epoch.losses for epoch in epochs], len(texts))

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, row: int) -> CuratedQuestion:
        text, edit = self.texts.questions[row], self.edits.get(row)
        return CuratedQuestion(
            row,
            text.question_id,
            text.image,
            text.question,
            text.answer,
            edit.answer if edit is not None and edit.kind == "relabel" else None,
            edit is not None and edit.kind == "drop",
            *(float(numbers[row]) for numbers in self.statistics),
        )

    @property
    def dropped(self) -> int:
        """How many questions are left out."""
        return sum(edit.kind == "drop" for edit in self.edits.values())

    def confidences(self, row: int) -> Numbers:
        """The confidence of a question in each epoch, `[epochs]`; NaN where it was not trained on."""
        return confidences_of(np.array([epoch.losses[row] for epoch in self.epochs]))

    def row_of(self, question_id: str) -> int:
        """The row of the question with this id.

        Raises:
            LooptopError: No question has it, or several have.
        """
        rows = [row for row, each in enumerate(self.texts.questions) if each.question_id == question_id]
        if not rows:
            raise LooptopError(
                f"no training question has the id '{visible(question_id)}'; `looptop curate RUN --json` lists the ids"
            )
        if len(rows) > 1:
            raise LooptopError(
                f"{counted(len(rows), 'training question')} have the id '{visible(question_id)}'; edit them in the"
                " app: screen 2, t"
            )
        return rows[0]

    def arranged(self, chosen: Filter[CuratedQuestion] | None = None, sort: tuple[SortKey, bool] | None = None) -> Rows:
        """The rows that a filter accepts, in order.

        Args:
            chosen: The filter; None accepts all.
            sort: The key, and whether the largest values come first; None keeps the data's order. Questions without a
                value come last, equal ones in the data's order.
        """
        rows: Rows = np.arange(len(self)) if chosen is None else np.flatnonzero(self._accepts(chosen.expression))
        if sort is None:
            return rows
        key, largest_first = sort
        if key in ("question", "answer"):
            texts = self.texts.lower_questions if key == "question" else self.texts.lower_answers
            # Equal texts stay in the data's order either way: sorting is stable, also in reverse.
            return np.array(sorted(rows.tolist(), key=texts.__getitem__, reverse=largest_first), dtype=np.intp)
        values = self._is_edited.astype(np.float64) if key == "edited" else getattr(self.statistics, key)
        return rows[np.argsort((-values if largest_first else values)[rows], kind="stable")]

    @property
    def _is_edited(self) -> npt.NDArray[np.bool_]:
        return self._rows_with(self.edits)

    def _rows_with(self, rows: Iterable[int]) -> npt.NDArray[np.bool_]:
        mask = np.zeros(len(self), dtype=np.bool_)
        mask[list(rows)] = True
        return mask

    def _accepts(self, expression: Expression) -> npt.NDArray[np.bool_]:
        """Which rows an expression is true of; the same as `Filter.holds` of each."""
        if isinstance(expression, Group):
            join: Any = np.logical_and if expression.every else np.logical_or
            masks = [self._accepts(part) for part in expression.parts]
            joined: npt.NDArray[np.bool_] = join.reduce(masks) if masks else np.full(len(self), expression.every)
            return joined
        mask = self._compares(expression) if isinstance(expression, Comparison) else self._matches(expression)
        return ~mask if expression.negated else mask

    def _compares(self, term: Comparison) -> npt.NDArray[np.bool_]:
        values: Any = getattr(self.statistics, term.field)
        mask: npt.NDArray[np.bool_] = OPERATORS[term.operator](values, term.number)  # type: ignore[assignment]
        if math.isnan(term.number):
            mask = np.where(np.isnan(values), term.operator == "==", mask)
        return mask

    def _matches(self, term: Match) -> npt.NDArray[np.bool_]:
        if term.field == FLAG:
            is_dropped = term.values[0] == "dropped"
            return self._rows_with(row for row, edit in self.edits.items() if not is_dropped or edit.kind == "drop")
        texts = self.texts
        match term.field:
            case "id":
                return np.fromiter((text in term.values for text in texts.lower_ids), np.bool_, len(self))
            case "question":
                return self._contains(texts.lower_questions, term.values)
            case "image":
                return self._contains(texts.lower_image_names, term.values)
            case "answer":
                return self._contains(texts.lower_answers, term.values) | self._new_answer_contains(term.values)
            case _:
                names, answers = texts.lower_image_names, texts.lower_answers
                mask = self._contains(texts.lower_questions, term.values) | self._contains(answers, term.values)
                return mask | self._contains(names, term.values) | self._new_answer_contains(term.values)

    def _contains(self, texts: list[str], values: tuple[str, ...]) -> npt.NDArray[np.bool_]:
        mask = np.zeros(len(self), dtype=np.bool_)
        for value in values:
            mask |= np.fromiter((value in text for text in texts), np.bool_, len(self))
        return mask

    def _new_answer_contains(self, values: tuple[str, ...]) -> npt.NDArray[np.bool_]:
        return self._rows_with(
            row for row, edit in self.edits.items() if any(value in edit.answer.lower() for value in values)
        )


def read_questions(journal: CurationJournal, texts: QuestionTexts | None = None) -> CuratedQuestions:
    """The training questions of a run.

    Args:
        journal: Its journal.
        texts: Their texts if they were read before.

    Raises:
        LooptopError: The journal is damaged.
    """
    with journal.snapshot():
        if texts is None:
            texts = QuestionTexts(journal.questions())
        return CuratedQuestions(texts, journal.losses(), journal.edits())


def parse(text: str) -> Filter[CuratedQuestion]:
    """Parses a filter of training questions; a quote that is not closed extends to the end.

    Raises:
        LooptopError: Says which word is wrong, and what can be written there.
    """
    return grammar.parse(text, _VOCABULARY)


_PERCENT = {"": 1.0, "%": 0.01}
_NUMBERS: dict[str, NumberField[CuratedQuestion]] = {
    "loss": NumberField(attrgetter("loss")),
    "confidence": NumberField(attrgetter("confidence"), _PERCENT),
    "variability": NumberField(attrgetter("variability"), _PERCENT),
}


def _number_field(name: Word, _quantifier: str) -> NumberField[CuratedQuestion]:
    if name.text not in _NUMBERS:
        raise LooptopError(
            f"training questions have no figure '{visible(name.text)}'; {suggestion(name.text, _NUMBERS)}"
        )
    return _NUMBERS[name.text]


_FLAGS: dict[str, Callable[[CuratedQuestion], bool]] = {
    "edited": lambda each: each.is_dropped or each.edited_answer is not None,
    "dropped": attrgetter("is_dropped"),
}
_VOCABULARY: Vocabulary[CuratedQuestion] = Vocabulary(
    _number_field,
    "a word, a key such as answer:red, or a comparison such as loss>2",
    text_fields={
        "id": TextField(attrgetter("question_id"), whole=True, example="train-17"),
        "question": TextField(attrgetter("question"), example="colour"),
        "answer": TextField(attrgetter("answers"), example="red"),
        "image": TextField(attrgetter("image_name"), example="cat.png"),
    },
    searched_texts=lambda each: (each.question, each.answers, each.image_name),
    flags=_FLAGS,
    open_quotes=True,
)
