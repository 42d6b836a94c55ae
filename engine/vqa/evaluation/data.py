"""Chooses the questions of an evaluation, and the training data of its question-only baseline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.vqa.data.left_out import Problem, Problems
from looptop.engine.vqa.data.load import NamedSplit, load_data, load_named_split
from looptop.engine.vqa.data.rows import Row
from looptop.engine.vqa.evaluation.baselines import QuestionOnly
from looptop.engine.vqa.evaluation.settings import evaluation_config
from looptop.engine.vqa.model.saved_models import run_of


@dataclass(frozen=True)
class EvaluationData:
    """The questions to ask, and where they come from."""

    source: str
    split: str
    rows: list[Row]
    question_only: QuestionOnly | None
    training_data: str
    """The name of the data from which the question-only baseline was computed, `SOURCE:train`; empty if there is no
    baseline."""
    problems: Problems = field(default_factory=Problems)
    """What is left out of the data, and why the training data cannot be read."""


def choose_data(model: str, data: str | None, settings: tuple[str, ...], limit: int | None) -> EvaluationData:
    """Chooses the questions to ask, and computes the question-only baseline from training data.

    The training data is:

    - without `data`, the training split of the run that made the model (or of the preset), with the run's limits;
    - with `data`, the whole training split of its source;
    - but the training split of the run, with its limits, if `data` names another source than the run's.

    Args:
        model: The model's name.
        data: `SOURCE:SPLIT` or `SOURCE`; None for the test split of the model's own data, or its validation split.
        settings: Other settings of the data, as KEY=VALUE.
        limit: At most this many questions, the first ones; None for all.

    Raises:
        LooptopError: The data does not exist or has no usable question; the run that made the model is not a VQA
            run.
    """
    config = evaluation_config(model, settings)
    run = run_of(model)
    problems = Problems()
    chosen, train, train_source = _read(config, data, problems, made_by_run=run is not None)
    rows = chosen.rows if limit is None else chosen.rows.select(range(min(limit, len(chosen.rows))))
    return EvaluationData(
        source=chosen.source,
        split=chosen.split,
        rows=[Row(**row) for row in rows.to_list()],
        question_only=_question_only_baseline(train) if train is not None else None,
        training_data=f"{train_source}:train" if train is not None else "",
        problems=problems,
    )


def _read(
    config: VqaRunConfig, data: str | None, problems: Problems, *, made_by_run: bool
) -> tuple[NamedSplit, Any | None, str]:
    """The questions, the training split, and the source of the latter."""
    seed = config.training.seed
    whole_data = msgspec.structs.replace(config.data, start_at=None, end_at=None, max_images=None, max_questions=None)

    def on_problem(problem: Problem) -> None:
        problems.add(problem.kind, problem.item, problem.detail)

    if data is not None:
        chosen = load_named_split(data, whole_data, seed, on_problem)
        if not made_by_run or chosen.source == config.data.source:
            return chosen, chosen.train, chosen.source
        try:
            return chosen, load_data(config.data, seed).train, config.data.source
        except LooptopError as error:
            problems.add("training data of the question-only baseline", config.data.source, error)
            return chosen, None, ""
    of_run: list[Problem] = []
    splits = load_data(config.data, seed, of_run.append)
    if splits.test is not None and whole_data != config.data:
        # All of the test split, without the run's limits on the size of each split.
        chosen = load_named_split(f"{config.data.source}:test", whole_data, seed, on_problem)
        return chosen, splits.train, config.data.source
    for problem in of_run:
        on_problem(problem)
    name, rows = ("validation", splits.validation) if splits.test is None else ("test", splits.test)
    return NamedSplit(config.data.source, name, rows, splits.train), splits.train, config.data.source


def _question_only_baseline(train: Any) -> QuestionOnly:
    return QuestionOnly.of_columns(train["question"][:], train["question_type"][:], train["answer"][:])
