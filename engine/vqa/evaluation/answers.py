"""Lets a model answer all questions of a split, greedily as training measures its accuracy, and scores the answers.

Each image is encoded once, and its features are kept (`feature_cache`). Each question is answered twice: about its own
image, and about another one for the shuffled-image baseline.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.accuracy import exact_match, vqa_score
from looptop.engine.vqa.answers.answerer import Answerer
from looptop.engine.vqa.batches import OnProgress
from looptop.engine.vqa.confidence.calibration import calibrate
from looptop.engine.vqa.data.left_out import Problem
from looptop.engine.vqa.data.rows import Row
from looptop.engine.vqa.evaluation.baselines import QuestionOnly, deranged
from looptop.engine.vqa.evaluation.neighbours import with_neighbours
from looptop.engine.vqa.evaluation.records import QuestionResult
from looptop.engine.vqa.feature_cache import FeatureCache, chunks_of
from looptop.engine.vqa.model.decoding import DecodedAnswers, greedy
from looptop.engine.vqa.model.processing import IGNORED

BATCH_SIZE = 256
"""Questions that are answered in one batch."""

MAX_LOGITS = 2**25
"""The most logits of right answers at the same time."""

OnBad = Callable[[Row, LooptopError], object]
"""Called with each question that cannot be asked, and the error."""


def answer_questions(
    answerer: Answerer,
    rows: Sequence[Row],
    question_only: QuestionOnly | None,
    on_bad: OnBad,
    on_progress: OnProgress = lambda text, done, total: None,
) -> list[QuestionResult]:
    """Answers and scores questions.

    Args:
        answerer: A loaded model.
        rows: The questions.
        question_only: The question-only baseline; None if there is no training data.
        on_bad: Called for each question that is left out: its image cannot be read, or it is empty or too long.
        on_progress: Called between batches; may raise to stop.

    Returns:
        In the order of the rows, without those that are left out.

    Raises:
        LooptopError: The model's probabilities are not numbers.
    """
    rows = _askable(answerer, rows, on_bad)
    by_image: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        by_image.setdefault(row.image, []).append(index)
    errors: dict[str, LooptopError] = {}
    cache = FeatureCache(answerer.model, answerer.processor)
    results: dict[int, QuestionResult] = {}
    pooled: dict[str, Tensor] = {}
    another: Tensor | None = None
    """The features of an image of an earlier chunk, for a chunk of a single image."""
    answered = 0
    for chunk in chunks_of(list(by_image), answerer.model):
        features = cache.features(chunk, lambda problem: errors.setdefault(problem.item, _error(problem)), on_progress)
        pooled |= {path: states.mean(dim=0) for path, states in features.items()}
        others = _other_images(features, another)
        indices = [index for path in features for index in by_image[path]]
        for some in _batches(indices):
            on_progress("answering the questions", answered, len(rows))
            asked = [rows[index] for index in some]
            batch = _answer(answerer, asked, features, others)
            results |= zip(some, _scored(asked, batch, question_only, answerer.checks.temperature), strict=True)
            answered += len(some)
        another = next(iter(features.values()), another)
    for path, error in errors.items():
        for index in by_image[path]:
            on_bad(rows[index], error)
    return with_neighbours([results[index] for index in sorted(results)], pooled)


class _Batch(NamedTuple):
    """What a model answers to some questions."""

    answers: list[str]
    confidences: list[float]
    truth_confidences: list[float]
    shuffled: list[str] | None
    """Its answers about other images."""


def _askable(answerer: Answerer, rows: Sequence[Row], on_bad: OnBad) -> list[Row]:
    errors: dict[str, LooptopError | None] = {}
    good = []
    for row in rows:
        if row.question not in errors:
            try:
                answerer.processor.check_question(row.question)
                errors[row.question] = None
            except LooptopError as error:
                errors[row.question] = error
        if (problem := errors[row.question]) is None:
            good.append(row)
        else:
            on_bad(row, problem)
    return good


def _error(problem: Problem) -> LooptopError:
    return LooptopError(problem.detail)


def _batches(indices: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(indices), BATCH_SIZE):
        yield indices[first : first + BATCH_SIZE]


def _other_images(features: Mapping[str, Tensor], another: Tensor | None) -> dict[str, Tensor] | None:
    """Another image's features for each image; None if there is no other image."""
    paths = list(features)
    if len(paths) > 1:
        return {path: features[paths[other]] for path, other in zip(paths, deranged(len(paths)), strict=True)}
    return dict.fromkeys(paths, another) if another is not None else None


@torch.inference_mode()
def _answer(
    answerer: Answerer, rows: Sequence[Row], features: Mapping[str, Tensor], others: Mapping[str, Tensor] | None
) -> _Batch:
    model, processor = answerer.model, answerer.processor
    distinct = {question: index for index, question in enumerate(dict.fromkeys(row.question for row in rows))}
    ids, distinct_mask = (tensor.to(model.device) for tensor in processor.questions(list(distinct)))
    text_of = torch.tensor([distinct[row.question] for row in rows], device=model.device)
    text, mask = model.text_states(ids, distinct_mask)[text_of], distinct_mask[text_of]

    def memory_of(chosen: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        images = torch.stack([chosen[row.image] for row in rows]).to(model.device)
        return model.fuse(text, images, mask)

    def write(memory: Tensor, memory_mask: Tensor | None) -> DecodedAnswers:
        return greedy(model, memory, memory_mask, processor.begin_id, processor.end_id, answerer.max_tokens)

    memory, memory_mask = memory_of(features)
    written = write(memory, memory_mask)
    truths = written.confidences.clone()
    other = _differently_answered(answerer, rows, written)
    if other:
        some_mask = None if memory_mask is None else memory_mask[other]
        truths[other] = _truth_confidences(answerer, [rows[row].answer for row in other], memory[other], some_mask)
    if not (torch.isfinite(written.confidences).all() and torch.isfinite(truths).all()):
        raise LooptopError(
            "the model's probabilities are not numbers; its weights are damaged, or its training diverged"
        )
    shuffled = None
    if others is not None:
        shuffled = [processor.decode(ids) for ids in write(*memory_of(others)).ids.tolist()]
    return _Batch(
        [processor.decode(ids) for ids in written.ids.tolist()],
        written.confidences.tolist(),
        truths.tolist(),
        shuffled,
    )


def _differently_answered(answerer: Answerer, rows: Sequence[Row], written: DecodedAnswers) -> list[int]:
    """The rows whose written tokens are not those of the right answer; those of the others have its probability."""
    processor = answerer.processor
    different = []
    for row, (truth, ids) in enumerate(
        zip(processor.answer_ids([row.answer for row in rows]), written.ids.tolist(), strict=True)
    ):
        if truth != list(itertools.takewhile(lambda token: token != processor.end_id, ids)):
            different.append(row)
    return different


def _truth_confidences(answerer: Answerer, truths: Sequence[str], memory: Tensor, memory_mask: Tensor | None) -> Tensor:
    """`[n]`, the model's probability of each right answer, its end included."""
    model, processor = answerer.model, answerer.processor
    inputs, labels = (tensor.to(model.device) for tensor in processor.answers(truths))
    batch_size = max(1, MAX_LOGITS // (inputs.shape[1] * model.decoder.config.vocab_size))
    sums = []
    for first in range(0, len(inputs), batch_size):
        some = slice(first, first + batch_size)
        logits = model.decode(inputs[some], memory[some], None if memory_mask is None else memory_mask[some])
        wanted = labels[some] != IGNORED
        tokens = labels[some].clamp(min=0).unsqueeze(-1)
        log_probs = logits.float().log_softmax(dim=-1).gather(-1, tokens).squeeze(-1)
        sums.append((log_probs * wanted).sum(dim=1))
    return torch.cat(sums).exp()


def _scored(
    rows: Iterable[Row], batch: _Batch, question_only: QuestionOnly | None, temperature: float | None
) -> Iterator[QuestionResult]:
    shuffled = batch.shuffled if batch.shuffled is not None else itertools.repeat(None)
    for row, answer, confidence, truth_confidence, other in zip(
        rows, batch.answers, batch.confidences, batch.truth_confidences, shuffled, strict=False
    ):
        raw = _share(confidence)
        guess = question_only.answer(row.question, row.question_type) if question_only else None
        yield QuestionResult(
            image=row.image,
            image_id=row.image_id,
            question_id=row.question_id,
            question=row.question,
            truth=row.answer,
            answers=tuple(row.answers),
            question_type=row.question_type,
            answer_type=row.answer_type,
            answer=answer,
            confidence=raw if temperature is None else calibrate(raw, temperature),
            raw_confidence=raw,
            truth_confidence=_share(truth_confidence),
            score=vqa_score(answer, row.answers),
            exact=exact_match(answer, row.answer),
            question_only_score=None if guess is None else vqa_score(guess, row.answers),
            shuffled_score=None if other is None else vqa_score(other, row.answers),
        )


def _share(probability: float) -> float:
    """A probability without the rounding error that may put it above 1."""
    return math.fabs(min(1.0, probability))
