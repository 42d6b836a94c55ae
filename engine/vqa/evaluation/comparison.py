"""Compares two models on the same questions: which is better, whether that could be chance, and what changed."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible
from looptop.engine.vqa.evaluation.intervals import Difference, clustered_mean, mcnemar, paired_difference
from looptop.engine.vqa.evaluation.records import Estimate, Evaluation, QuestionResult


class ChangedQuestion(Struct, frozen=True):
    """A question that exactly one of two models answers right."""

    first: QuestionResult
    second: QuestionResult


class Comparison(Struct, frozen=True, kw_only=True):
    """Two models on the questions that both answered."""

    first: str
    second: str
    """The names of the models."""
    questions: int
    first_accuracy: Estimate
    second_accuracy: Estimate
    difference: Difference
    """Of the official accuracy: second minus first."""
    both_right: int
    only_first: int
    """Questions that only the first model answers right."""
    only_second: int
    both_wrong: int
    p_value: float
    """Of McNemar's exact test."""
    changed: list[ChangedQuestion]
    """The questions that only one answers right: first those that the second model has lost, of the highest confidence
    first."""


def compare(
    first: Evaluation,
    first_results: Sequence[QuestionResult],
    second: Evaluation,
    second_results: Sequence[QuestionResult],
) -> Comparison:
    """Compares two evaluations on the questions that they share.

    Raises:
        LooptopError: They share no question.
    """
    others = {(one.question_id, one.image_id, one.question): one for one in second_results}
    pairs = [
        (one, other)
        for one in first_results
        if (other := others.get((one.question_id, one.image_id, one.question))) is not None
    ]
    if not pairs:
        raise LooptopError(
            f"{visible(first.model)} was evaluated on {visible(first.data)} and {visible(second.model)} on"
            f" {visible(second.data)}: they share no question; evaluate both on the same data"
        )
    images = [one.image_id for one, _ in pairs]
    first_scores, second_scores = [one.score for one, _ in pairs], [other.score for _, other in pairs]
    lost = [ChangedQuestion(one, other) for one, other in pairs if one.right and not other.right]
    won = [ChangedQuestion(one, other) for one, other in pairs if other.right and not one.right]
    both = sum(one.right and other.right for one, other in pairs)
    return Comparison(
        first=first.model,
        second=second.model,
        questions=len(pairs),
        first_accuracy=clustered_mean(first_scores, images),
        second_accuracy=clustered_mean(second_scores, images),
        difference=paired_difference(first_scores, second_scores, images),
        both_right=both,
        only_first=len(lost),
        only_second=len(won),
        both_wrong=len(pairs) - both - len(lost) - len(won),
        p_value=mcnemar(len(lost), len(won)),
        changed=[
            *sorted(lost, key=lambda pair: -pair.second.confidence),
            *sorted(won, key=lambda pair: -pair.second.confidence),
        ],
    )
