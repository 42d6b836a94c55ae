"""Evaluates a model on a split: loads both, asks all questions, keeps the results."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from looptop.engine.errors import LooptopError
from looptop.engine.text import counted
from looptop.engine.vqa.answers.answerer import Answerer
from looptop.engine.vqa.batches import OnProgress
from looptop.engine.vqa.confidence.calibration import calibration_error
from looptop.engine.vqa.data.rows import Row
from looptop.engine.vqa.evaluation import kept
from looptop.engine.vqa.evaluation.answers import answer_questions
from looptop.engine.vqa.evaluation.checkpoints import checkpoint_of
from looptop.engine.vqa.evaluation.data import choose_data
from looptop.engine.vqa.evaluation.intervals import clustered_mean
from looptop.engine.vqa.evaluation.records import Estimate, Evaluation, QuestionResult
from looptop.engine.vqa.evaluation.weights import digest_of
from looptop.engine.vqa.model.saved_models import folder_of

MAX_EXAMPLES = 5
"""Sentences about questions that are left out."""


@dataclass(frozen=True)
class Evaluated:
    """An evaluation, the results of its questions, and what a person should know about it."""

    evaluation: Evaluation
    results: list[QuestionResult]
    notes: list[str]
    """What was left out, or could not be kept; one sentence each."""


def evaluate(
    model: str,
    data: str | None = None,
    settings: tuple[str, ...] = (),
    limit: int | None = None,
    device: str = "auto",
    data_of: str = "",
    on_progress: OnProgress = lambda text, done, total: None,
) -> Evaluated:
    """Evaluates a model and keeps the results.

    Args:
        model: `bundled`, a run's id, `RUN:checkpoint-120`, or a folder.
        data: `SOURCE:SPLIT` or `SOURCE`; None for the test split of the model's own data, or its validation split.
        settings: Other settings of the data, as KEY=VALUE.
        limit: Only the first questions.
        device: As `compute.device.pick` takes it.
        data_of: The model whose data is asked; empty for the model itself. So two models get the same questions.
        on_progress: Called now and then with what is being done, how much of it is done, and the total; a total of 0
            means unknown. May raise to stop.

    Raises:
        LooptopError: The model, the data or the device does not exist or cannot be used; no question can be answered.
    """
    began = time.time()
    on_progress("loading the model", 0, 0)
    folder = folder_of(model)
    weights = digest_of(folder)
    answerer = Answerer.load(model, device=device)
    on_progress("reading the questions", 0, 0)
    chosen = choose_data(data_of or model, data, settings, limit)
    notes = [f"left out: {kind}: {examples}" for kind, examples in chosen.problems.summary()]
    bad: Counter[str] = Counter()

    def on_bad(row: Row, error: LooptopError) -> None:
        bad[str(error)] += 1

    results = answer_questions(answerer, chosen.rows, chosen.question_only, on_bad, on_progress)
    if not results:
        raise LooptopError(
            f"none of the {counted(len(chosen.rows), 'question')} could be answered; the first: {next(iter(bad))}"
        )
    notes += [f"left out: {sentence}" for sentence, _ in bad.most_common(MAX_EXAMPLES)]
    if len(bad) > MAX_EXAMPLES:
        notes.append(f"left out: {counted(sum(bad.values()), 'question')} in all")
    images = [one.image_id for one in results]
    evaluation = Evaluation(
        id=secrets.token_hex(8),
        model=model,
        weights=weights,
        checkpoint=checkpoint_of(model, folder),
        source=chosen.source,
        split=chosen.split,
        settings=settings,
        limit=limit,
        when=time.time(),
        seconds=time.time() - began,
        left_out=sum(bad.values()),
        training_data=chosen.training_data,
        temperature=answerer.checks.temperature,
        accuracy=clustered_mean([one.score for one in results], images),
        exact=clustered_mean([float(one.exact) for one in results], images),
        question_only=_baseline(results, lambda one: one.question_only_score),
        shuffled=_baseline(results, lambda one: one.shuffled_score),
        calibration_error=calibration_error([one.confidence for one in results], [one.score for one in results]),
    )
    if trouble := kept.keep(evaluation, results):
        notes.append(trouble)
    return Evaluated(evaluation, results, notes)


def _baseline(results: list[QuestionResult], score_of: Callable[[QuestionResult], float | None]) -> Estimate | None:
    """A baseline's accuracy; None if it has no answer to a question."""
    scores = [score for one in results if (score := score_of(one)) is not None]
    return clustered_mean(scores, [one.image_id for one in results]) if len(scores) == len(results) else None
