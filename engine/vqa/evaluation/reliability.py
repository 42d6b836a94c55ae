"""The data of the reliability chart: accuracy by confidence, in bins.

Its bins are those of `calibration.calibration_error`, which is the mean distance between its points and the diagonal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from looptop.engine.vqa.confidence.calibration import BINS
from looptop.engine.vqa.evaluation.intervals import clustered_mean
from looptop.engine.vqa.evaluation.records import Estimate, QuestionResult


class ReliabilityBin(Struct, frozen=True):
    """The answers whose confidence is at least `low` and below `high`; the last bin holds 1 as well."""

    low: float
    high: float
    confidence: float | None
    """Their mean confidence; None if there are none."""
    accuracy: Estimate | None
    """Their accuracy; None if there are none."""


def reliability_bins(results: Sequence[QuestionResult]) -> list[ReliabilityBin]:
    """The answers by their confidence, in `BINS` bins of equal width."""
    members: list[list[QuestionResult]] = [[] for _ in range(BINS)]
    for one in results:
        members[bin_of(one.confidence)].append(one)
    bins = []
    for index, some in enumerate(members):
        confidences = [one.confidence for one in some]
        bins.append(
            ReliabilityBin(
                index / BINS,
                (index + 1) / BINS,
                math.fsum(confidences) / len(some) if some else None,
                clustered_mean([one.score for one in some], [one.image_id for one in some]) if some else None,
            )
        )
    return bins


def bin_of(confidence: float) -> int:
    """The index of the bin that a confidence belongs to."""
    return min(int(confidence * BINS), BINS - 1)
