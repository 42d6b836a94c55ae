"""Reads kept evaluations, in threads: no model is loaded for that."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from looptop.engine.vqa.evaluation import kept
from looptop.engine.vqa.evaluation.comparison import Comparison, compare
from looptop.engine.vqa.evaluation.records import Evaluation, QuestionResult
from looptop.engine.vqa.evaluation.report import Report, report_on
from looptop.engine.vqa.model.saved_models import choices, folder_of


class KeptEvaluation(Struct, frozen=True):
    """A model's newest evaluation with all its figures."""

    evaluation: Evaluation
    results: list[QuestionResult]
    report: Report


class OtherModel(Struct, frozen=True):
    """A model that another one can be compared with."""

    name: str
    label: str
    evaluation: Evaluation | None
    """Its evaluation on the same questions; None if it has none."""


def read_latest(model: str) -> KeptEvaluation | None:
    """The newest evaluation of a model under the name by which it is asked now; None if there is none.

    Raises:
        LooptopError: There is no such model, or what is kept is damaged.
    """
    evaluation = kept.latest(folder_of(model))
    if evaluation is None:
        return None
    results = kept.questions_of(evaluation)
    return KeptEvaluation(msgspec.structs.replace(evaluation, model=model), results, report_on(results))


def other_models(shown: KeptEvaluation) -> list[OtherModel]:
    """All models but the shown one, with their evaluations on the same questions; those that have one come first.

    Raises:
        LooptopError: The runs cannot be listed.
    """
    others = []
    for choice in choices():
        evaluation = _same_data(choice.name, shown.evaluation)
        if choice.name != shown.evaluation.model:
            others.append(OtherModel(choice.name, choice.label, evaluation))
    return sorted(others, key=lambda other: other.evaluation is None)


def read_comparison(shown: KeptEvaluation, model: str) -> Comparison | None:
    """The shown model compared with another one; None if the other one has no evaluation on the same questions.

    Raises:
        LooptopError: There is no such model, or what is kept is damaged.
    """
    other = _same_data(model, shown.evaluation)
    if other is None:
        return None
    return compare(shown.evaluation, shown.results, other, kept.questions_of(other))


def _same_data(model: str, evaluation: Evaluation) -> Evaluation | None:
    for one in kept.evaluations_of(folder_of(model)):
        if (one.source, one.split, one.settings, one.limit) == (
            evaluation.source,
            evaluation.split,
            evaluation.settings,
            evaluation.limit,
        ):
            return msgspec.structs.replace(one, model=model)
    return None
