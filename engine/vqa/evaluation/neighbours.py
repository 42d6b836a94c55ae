"""For wrong answers: how many similar images, asked the same question, have the model's answer as the right one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import torch
from torch import Tensor

from looptop.engine.vqa.evaluation.difficult import NEIGHBOURS
from looptop.engine.vqa.evaluation.records import QuestionResult

ROWS_AT_ONCE = 256
"""Wrong answers that are compared with all images together."""

FIRST_ROWS = 64
"""The most similar rows that are looked at before all are sorted; several may be about one image."""


@torch.inference_mode()
def with_neighbours(results: Sequence[QuestionResult], features: Mapping[str, Tensor]) -> list[QuestionResult]:
    """Adds the vote of similar images to the wrong answers.

    Args:
        results: The answers.
        features: The image encoder's features of each image, `[width]`, averaged over patches.

    Returns:
        The same answers in the same order, the wrong ones with `neighbours` and `neighbours_agree`.
    """
    completed = list(results)
    by_question: dict[str, list[int]] = {}
    for index, one in enumerate(results):
        by_question.setdefault(one.question, []).append(index)
    for indices in by_question.values():
        wrong = [index for index in indices if not results[index].right]
        if not wrong:
            continue
        states = torch.nn.functional.normalize(
            torch.stack([features[results[index].image] for index in indices]), dim=1
        )
        row_of = {index: row for row, index in enumerate(indices)}
        for first in range(0, len(wrong), ROWS_AT_ONCE):
            some = wrong[first : first + ROWS_AT_ONCE]
            similarity = states[[row_of[index] for index in some]] @ states.T
            for index, row in zip(some, similarity, strict=True):
                completed[index] = _with_vote(results, index, indices, row)
    return completed


def _with_vote(
    results: Sequence[QuestionResult], index: int, indices: Sequence[int], similarity: Tensor
) -> QuestionResult:
    """One wrong answer with the vote of the most similar other images, each of which votes once."""
    one = results[index]
    seen = {one.image_id}
    agree = 0
    for row in _most_similar(similarity):
        other = results[indices[row]]
        if other.image_id in seen:
            continue
        seen.add(other.image_id)
        agree += other.truth == one.answer
        if len(seen) > NEIGHBOURS:
            break
    return msgspec.structs.replace(one, neighbours=len(seen) - 1, neighbours_agree=agree)


def _most_similar(similarity: Tensor) -> Iterator[int]:
    """The rows by similarity, the most similar first; all of them are sorted only if the first few do not suffice."""
    few = min(FIRST_ROWS, len(similarity))
    yield from similarity.topk(few).indices.tolist()
    if few < len(similarity):
        yield from similarity.argsort(descending=True)[few:].tolist()
