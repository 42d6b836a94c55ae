"""Answers many questions for `eval` and `predict`: greedily, as a run does to measure its accuracy. Each image is
encoded once.

A bad image or question costs only its own answer.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from looptop.engine.cli.kept_answers import KeptAnswer, KeptAnswers
from looptop.engine.cli.progress import Status, progress_on
from looptop.engine.errors import LooptopError
from looptop.engine.vqa.data.left_out import Problem

if TYPE_CHECKING:
    from torch import Tensor

    from looptop.engine.vqa.answers.answerer import Answerer

BATCH_SIZE = 256
"""Questions that are answered in one batch."""

OnBad = Callable[[int, LooptopError], object]
"""Called with the index of a question that has no answer, and the error."""


def answer_all(
    answerer: Answerer, questions: Sequence[tuple[str, str]], on_bad: OnBad, kept: KeptAnswers | None = None
) -> list[str | None]:
    """Answers questions in batches, with progress on stderr.

    Args:
        answerer: A loaded model.
        questions: Path of the image, and question, of each. Questions about one image should follow each other.
        on_bad: Called for each question that has no answer.
        kept: Answers of an earlier try, which are not computed again; new ones are added.

    Returns:
        An answer for each question; None if the question or its image is bad.
    """
    answers: list[str | None] = [None] * len(questions)
    before = kept.earlier if kept is not None else {}
    for index, answer, error in before.values():
        answers[index] = answer
        if error is not None:
            on_bad(index, LooptopError(error))
    with contextlib.closing(progress_on(sys.stderr)) as progress:
        for first in range(0, len(questions), BATCH_SIZE):
            progress.show(Status("answering", "", first / len(questions), [f"question {first}/{len(questions)}"]))
            indices = [index for index in range(first, min(first + BATCH_SIZE, len(questions))) if index not in before]
            if not indices:
                continue
            errors: dict[int, str] = {}

            def note_bad(index: int, error: LooptopError, errors: dict[int, str] = errors) -> None:
                errors.setdefault(index, str(error))
                on_bad(index, error)

            for index, text in _batch(answerer, questions, indices, note_bad):
                answers[index] = text
            if kept is not None:
                kept.add([KeptAnswer(index, answers[index], errors.get(index)) for index in indices])
    return answers


def _batch(
    answerer: Answerer, questions: Sequence[tuple[str, str]], indices: Sequence[int], on_bad: OnBad
) -> Iterator[tuple[int, str]]:
    """The indices of one batch's questions that can be answered, with their answers."""
    indices = _good_questions(answerer, indices, questions, on_bad)
    features, rows, errors = _encode_images(answerer, [questions[index][0] for index in indices])
    for index in indices:
        if error := errors.get(questions[index][0]):
            on_bad(index, error)
    indices = [index for index in indices if questions[index][0] in rows]
    if indices:
        chosen = features[[rows[questions[index][0]] for index in indices]]
        yield from zip(indices, _answer(answerer, [questions[index][1] for index in indices], chosen), strict=True)


def _good_questions(
    answerer: Answerer, indices: Sequence[int], questions: Sequence[tuple[str, str]], on_bad: OnBad
) -> list[int]:
    good = []
    for index in indices:
        try:
            answerer.processor.check_question(questions[index][1])
            good.append(index)
        except LooptopError as error:
            on_bad(index, error)
    return good


def _encode_images(answerer: Answerer, paths: Sequence[str]) -> tuple[Tensor, dict[str, int], dict[str, LooptopError]]:
    """The features of all images that can be read, the row of each path in them, and the errors of the others."""
    import torch

    from looptop.engine.vqa.batches import keep_image_features

    errors: dict[str, LooptopError] = {}

    def on_problem(problem: Problem) -> None:
        errors[problem.item] = LooptopError(problem.detail)

    features = keep_image_features(answerer.model, answerer.processor, list(dict.fromkeys(paths)), on_problem)
    rows = {path: row for row, path in enumerate(features)}
    return torch.stack(list(features.values())) if features else torch.empty(0), rows, errors


def _answer(answerer: Answerer, questions: list[str], image_features: Tensor) -> list[str]:
    """Answers to questions, one for each row of image features."""
    import torch

    from looptop.engine.vqa.model.decoding import greedy

    model, processor = answerer.model, answerer.processor
    input_ids, attention_mask = (tensor.to(model.device) for tensor in processor.questions(questions))
    with torch.inference_mode():
        features = image_features.to(model.device)
        memory, memory_mask = model.encode(input_ids, attention_mask, image_features=features)
        written = greedy(model, memory, memory_mask, processor.begin_id, processor.end_id, answerer.max_tokens)
    return [processor.decode(ids) for ids in written.ids.tolist()]
