"""Accuracy by answer type, by question type and by answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from msgspec import Struct

from looptop.engine.vqa.breakdown import members_by
from looptop.engine.vqa.evaluation.intervals import clustered_mean
from looptop.engine.vqa.evaluation.records import Estimate, QuestionResult


class Group(Struct, frozen=True):
    """The questions of one type, or with one right answer."""

    name: str
    accuracy: Estimate
    exact: float
    """The share of answers that are the right one letter by letter."""
    confidence: float
    """The mean confidence."""
    question_only: float | None
    """The accuracy of the question-only baseline; None without training data."""
    shuffled: float | None
    """The accuracy with another question's image; None with a single image."""


def by_answer_type(results: Sequence[QuestionResult]) -> list[Group]:
    """The accuracy by answer type: `yes/no`, `number`, `other`."""
    return grouped(results, lambda one: one.answer_type)


def by_question_type(results: Sequence[QuestionResult]) -> list[Group]:
    """The accuracy by the data's own question types, such as `what color`."""
    return grouped(results, lambda one: one.question_type)


def by_answer(results: Sequence[QuestionResult]) -> list[Group]:
    """The accuracy by right answer."""
    return grouped(results, lambda one: one.truth)


def grouped(results: Sequence[QuestionResult], key: Callable[[QuestionResult], str]) -> list[Group]:
    """The accuracy of each group of questions, the largest group first."""
    groups = [_group(name, some) for name, some in members_by(results, key).items()]
    return sorted(groups, key=lambda group: (-group.accuracy.questions, group.name))


def _group(name: str, members: Sequence[QuestionResult]) -> Group:
    return Group(
        name,
        clustered_mean([one.score for one in members], [one.image_id for one in members]),
        sum(one.exact for one in members) / len(members),
        math.fsum(one.confidence for one in members) / len(members),
        mean_of([one.question_only_score for one in members]),
        mean_of([one.shuffled_score for one in members]),
    )


def mean_of(scores: Sequence[float | None]) -> float | None:
    """The mean; None if a score is missing, or all are."""
    known = [score for score in scores if score is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(scores) else None
