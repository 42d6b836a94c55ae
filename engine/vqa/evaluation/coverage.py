"""Selective answering: the share of questions that a model can answer at a given risk, by a confidence threshold.

Selective prediction after Geifman and El-Yaniv 2017 ("Selective classification for deep neural networks", arXiv
1705.08500); coverage at a risk as Whitehead et al. 2022 use it for VQA ("Reliable visual question answering", arXiv
2204.13631): the risk is 1 minus the official accuracy. The threshold is chosen on the same answers, so it is what these
questions allow and no guarantee for others.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from looptop.engine.vqa.evaluation.records import QuestionResult

RISKS = (0.01, 0.05)


class Coverage(Struct, frozen=True):
    """The greatest share of questions that can be answered at a risk."""

    risk: float
    """The greatest mean of 1 minus the score among the answered questions."""
    coverage: float
    """The share of all questions, from 0 to 1."""
    threshold: float | None
    """The least confidence at which the model answers; None if it may answer nothing."""


def coverage_at(results: Sequence[QuestionResult], risk: float) -> Coverage:
    """The greatest coverage whose risk is at most `risk`. Answers of equal confidence are given or withheld together.

    Raises:
        ValueError: There are no results.
    """
    if not results:
        raise ValueError("the coverage of no questions")
    ordered = sorted(results, key=lambda one: one.confidence, reverse=True)
    best = Coverage(risk, 0.0, None)
    loss = 0.0
    for count, one in enumerate(ordered, 1):
        loss += 1 - one.score
        last_of_its_confidence = count == len(ordered) or ordered[count].confidence < one.confidence
        # Sums of thousands of floats may be off by a rounding error.
        if last_of_its_confidence and loss <= risk * count + 1e-9:
            best = Coverage(risk, count / len(ordered), one.confidence)
    return best
