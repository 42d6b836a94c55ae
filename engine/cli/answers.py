"""Answers many questions for `eval` and `predict`: greedily, as a run measures its accuracy, each image encoded once.

A bad image or question costs its own answer and no other.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from looptop.engine.cli.kept_answers import Kept, KeptAnswers
from looptop.engine.cli.progress import Reading, progress_on
from looptop.engine.errors import LooptopError
from looptop.engine.vqa.data.problems import Problem

if TYPE_CHECKING:
    from torch import Tensor

    from looptop.engine.vqa.answering import Answerer

BATCH = 256
"""Questions answered at once."""

OnBad = Callable[[int, LooptopError], object]
"""Told the place of a question that has no answer, and why."""


def answer_all(
    answerer: Answerer, questions: Sequence[tuple[str, str]], on_bad: OnBad, kept: KeptAnswers | None = None
) -> list[str | None]:
    """Answers questions in batches, with progress on stderr.

    Args:
        answerer: A loaded model.
        questions: Path of the image, and question. Those about one image are best side by side.
        on_bad: Told of each question that has no answer.
        kept: Answers of an earlier try, which are not made again; new ones are added.

    Returns:
        An answer for each question, None where its image or itself is bad.
    """
    answers: list[str | None] = [None] * len(questions)
    before = kept.answers if kept is not None else {}
    for place, answer, error in before.values():
        answers[place] = answer
        if error is not None:
            on_bad(place, LooptopError(error))
    with contextlib.closing(progress_on(sys.stderr)) as progress:
        for first in range(0, len(questions), BATCH):
            progress.show(Reading("answering", "", first / len(questions), [f"question {first}/{len(questions)}"]))
            places = [place for place in range(first, min(first + BATCH, len(questions))) if place not in before]
            if not places:
                continue
            errors: dict[int, str] = {}

            def note_bad(place: int, error: LooptopError, errors: dict[int, str] = errors) -> None:
                errors.setdefault(place, str(error))
                on_bad(place, error)

            for place, text in _batch(answerer, questions, places, note_bad):
                answers[place] = text
            if kept is not None:
                kept.add([Kept(place, answers[place], errors.get(place)) for place in places])
    return answers


def _batch(
    answerer: Answerer, questions: Sequence[tuple[str, str]], places: Sequence[int], on_bad: OnBad
) -> Iterator[tuple[int, str]]:
    """The answers of some of the questions, with their places."""
    places = _good_questions(answerer, places, questions, on_bad)
    features, where, broken = _encoded(answerer, [questions[place][0] for place in places])
    for place in places:
        if error := broken.get(questions[place][0]):
            on_bad(place, error)
    places = [place for place in places if questions[place][0] in where]
    if places:
        chosen = features[[where[questions[place][0]] for place in places]]
        yield from zip(places, _answered(answerer, [questions[place][1] for place in places], chosen), strict=True)


def _good_questions(
    answerer: Answerer, places: Sequence[int], questions: Sequence[tuple[str, str]], on_bad: OnBad
) -> list[int]:
    good = []
    for place in places:
        try:
            answerer.processor.check_question(questions[place][1])
            good.append(place)
        except LooptopError as error:
            on_bad(place, error)
    return good


def _encoded(answerer: Answerer, paths: Sequence[str]) -> tuple[Tensor, dict[str, int], dict[str, LooptopError]]:
    """What the image encoder says of each image that can be read, where each stands, and what is wrong with others."""
    import torch

    from looptop.engine.vqa.batches import keep_image_features

    broken: dict[str, LooptopError] = {}

    def on_problem(problem: Problem) -> None:
        broken[problem.name] = LooptopError(problem.detail)

    features = keep_image_features(answerer.model, answerer.processor, list(dict.fromkeys(paths)), on_problem)
    where = {path: number for number, path in enumerate(features)}
    return torch.stack(list(features.values())) if features else torch.empty(0), where, broken


def _answered(answerer: Answerer, questions: list[str], image_features: Tensor) -> list[str]:
    """Answers to questions, one for each row of image features."""
    import torch

    from looptop.engine.vqa.decoding import greedy

    model, processor = answerer.model, answerer.processor
    input_ids, attention_mask = (tensor.to(model.device) for tensor in processor.questions(questions))
    with torch.inference_mode():
        features = image_features.to(model.device)
        memory, memory_mask = model.encode(input_ids, attention_mask, image_features=features)
        written = greedy(model, memory, memory_mask, processor.begin_id, processor.end_id, answerer.max_tokens)
    return [processor.decode(ids) for ids in written.ids.tolist()]
