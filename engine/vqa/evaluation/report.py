"""All figures of an evaluation, computed from its questions. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from looptop.engine.vqa.confidence.calibration import calibration_error
from looptop.engine.vqa.confusion import Confusion, confusion
from looptop.engine.vqa.evaluation.coverage import RISKS, Coverage, coverage_at
from looptop.engine.vqa.evaluation.difficult import hardest, probably_mislabelled
from looptop.engine.vqa.evaluation.groups import Group, by_answer, by_answer_type, by_question_type
from looptop.engine.vqa.evaluation.records import QuestionResult
from looptop.engine.vqa.evaluation.reliability import ReliabilityBin, reliability_bins


class Report(Struct, frozen=True, kw_only=True):
    """The figures of an evaluation that are made from its questions."""

    by_answer_type: list[Group]
    by_question_type: list[Group]
    by_answer: list[Group]
    bins: list[ReliabilityBin]
    """The reliability chart."""
    raw_calibration_error: float
    """The expected calibration error of the confidences before calibration."""
    coverage: list[Coverage]
    """At each of `coverage.RISKS`."""
    confusion: Confusion
    hardest: list[QuestionResult]
    mislabelled: list[QuestionResult]


def report_on(results: Sequence[QuestionResult]) -> Report:
    """Computes the figures.

    Raises:
        ValueError: There are no results.
    """
    return Report(
        by_answer_type=by_answer_type(results),
        by_question_type=by_question_type(results),
        by_answer=by_answer(results),
        bins=reliability_bins(results),
        raw_calibration_error=calibration_error(
            [one.raw_confidence for one in results], [one.score for one in results]
        ),
        coverage=[coverage_at(results, risk) for risk in RISKS],
        confusion=confusion(results),
        hardest=hardest(results),
        mislabelled=probably_mislabelled(results),
    )
