"""What a run journals of each evaluation beside its accuracy: the accuracy by type, and which answers it confuses.

Imports no torch, so that the app reads it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from looptop.engine.encoding import encode_json
from looptop.engine.errors import UNREADABLE, LooptopError
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.text import visible
from looptop.engine.vqa.confusion import Confusion, confusion

MAX_TYPES = 100
"""The most types of one kind that are journalled, the largest ones; VQA v2 has 65 question types."""

LONGEST_NAME = 200
"""The most characters of a type or an answer that are journalled."""

MAX_CHARACTERS = 500_000
"""The most characters of a breakdown that is read; a journal can come from anywhere."""


class Outcome(NamedTuple):
    """One answered question of an evaluation."""

    truth: str
    answer: str
    answer_type: str
    """`yes/no`, `number` or `other`."""
    question_type: str
    """The data's own type, such as `what color`; empty if it has none."""
    score: float
    """The official VQA accuracy of the answer, from 0 to 1."""


class TypeAccuracy(Struct, frozen=True):
    """The accuracy on the questions of one type."""

    name: str
    questions: int
    accuracy: float


class Breakdown(Struct, frozen=True):
    """The figures of one evaluation."""

    by_answer_type: tuple[TypeAccuracy, ...]
    """The largest type first, as in the next one."""
    by_question_type: tuple[TypeAccuracy, ...]
    confusion: Confusion


class StepBreakdown(NamedTuple):
    """The figures of the evaluation at a step."""

    step: int
    breakdown: Breakdown


def breakdown_of(outcomes: Sequence[Outcome]) -> Breakdown:
    """The figures of an evaluation's answers."""
    short = [one if max(map(len, one[:4])) <= LONGEST_NAME else _shortened(one) for one in outcomes]
    return Breakdown(
        _accuracies(short, lambda one: one.answer_type),
        _accuracies(short, lambda one: one.question_type),
        confusion(short),
    )


def _shortened(outcome: Outcome) -> Outcome:
    *texts, score = outcome
    truth, answer, answer_type, question_type = (text[:LONGEST_NAME] for text in texts)
    return Outcome(truth, answer, answer_type, question_type, score)


Item = TypeVar("Item")


def members_by(items: Iterable[Item], key: Callable[[Item], str]) -> dict[str, list[Item]]:
    """The items of each group, in the order in which the groups first come."""
    members: dict[str, list[Item]] = {}
    for one in items:
        members.setdefault(key(one), []).append(one)
    return members


def _accuracies(outcomes: Sequence[Outcome], key: Callable[[Outcome], str]) -> tuple[TypeAccuracy, ...]:
    groups = [
        TypeAccuracy(name, len(some), math.fsum(one.score for one in some) / len(some))
        for name, some in members_by(outcomes, key).items()
    ]
    return tuple(sorted(groups, key=lambda group: (-group.questions, group.name))[:MAX_TYPES])


def write_breakdown(writer: JournalWriter, step: int, breakdown: Breakdown) -> None:
    """Journals the figures of the evaluation at a step; those of the same step are replaced."""
    writer.rows("INSERT OR REPLACE INTO evaluations VALUES (?, ?)", [(step, encode_json(breakdown).decode())])


def read_breakdowns(journal: Journal) -> list[StepBreakdown]:
    """The figures of all evaluations, the first one first; empty if an older looptop made the run.

    Raises:
        LooptopError: The journal is damaged.
    """
    with journal.transaction() as read:
        rows = read("SELECT step, breakdown FROM evaluations ORDER BY step").fetchall() if read else []
    try:
        return [StepBreakdown(step, _decoded(text)) for step, text in rows]
    except (TypeError, *UNREADABLE):
        raise LooptopError(f"the journal {visible(journal.path)} is damaged: its evaluations cannot be read") from None


def _decoded(text: str) -> Breakdown:
    """A breakdown as it is in the journal.

    Raises:
        ValueError: It is too long, or its table of answers is not square.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError("too long")
    breakdown = msgspec.json.decode(text, type=Breakdown)
    table = breakdown.confusion
    if any(len(row) != len(table.labels) for row in (table.counts, *table.counts)):
        raise ValueError("not square")
    return breakdown
