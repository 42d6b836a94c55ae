"""The questions that a model finds hardest, and those whose right answer is probably wrong in the data."""

from __future__ import annotations

from collections.abc import Sequence

from looptop.engine.vqa.evaluation.records import QuestionResult

SURE = 0.9
"""The least confidence of an answer that may be right against the data."""

NEIGHBOURS = 5
"""How many similar images are asked about a wrong answer."""

LEAST_NEIGHBOURS = 3
"""With fewer similar images nothing is concluded."""


def hardest(results: Sequence[QuestionResult], most: int = 50) -> list[QuestionResult]:
    """The questions to whose right answer the model gives the least probability."""
    return sorted(results, key=lambda one: (one.truth_confidence, -one.confidence))[:most]


def probably_mislabelled(results: Sequence[QuestionResult], most: int = 50) -> list[QuestionResult]:
    """Answers that are wrong by the data, but of high confidence and like the right answers of similar images.

    Similar images are those that the model's image encoder sees as most alike (cosine similarity) among the images that
    are asked the same question. More than half of them must have the model's answer as their right answer. The most
    confident come first.

    The idea of confident learning (Northcutt et al. 2021, "Confident learning: estimating uncertainty in dataset
    labels", arXiv 1911.00068), with the vote of neighbours as a second witness.
    """
    chosen = [
        one
        for one in results
        if not one.right
        and one.confidence >= SURE
        and one.neighbours >= LEAST_NEIGHBOURS
        and 2 * one.neighbours_agree > one.neighbours
    ]
    return sorted(chosen, key=lambda one: (-one.neighbours_agree / one.neighbours, -one.confidence))[:most]
