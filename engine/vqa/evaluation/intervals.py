"""Means over questions with confidence intervals, and the comparison of two models on the same questions.

Questions about one image are not independent: a model that misses the shape gets all of them wrong. So standard errors
are clustered by image (Miller 2024, "Adding error bars to evals", arXiv 2411.00640, section 2.2, as in lmms-eval; with
the factor G / (G - 1) for few clusters, Cameron and Miller 2015, "A practitioner's guide to cluster-robust inference").
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from msgspec import Struct

from looptop.engine.vqa.evaluation.records import Estimate

Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


class Difference(Struct, frozen=True):
    """The mean of the second model's scores minus the first's on the same questions, with a 95 % interval."""

    value: float
    low: float | None
    """None with fewer than two images."""
    high: float | None


def clustered_standard_error(values: Sequence[float], clusters: Sequence[Hashable]) -> float | None:
    """The standard error of a mean whose values are correlated within clusters.

    The square root of G / (G - 1) times the sum over clusters of (sum of deviations from the mean)², divided by n.

    Returns:
        None with fewer than two clusters.
    """
    mean = math.fsum(values) / len(values)
    sums: dict[Hashable, float] = {}
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + value - mean
    if len(sums) < 2:
        return None
    factor = len(sums) / (len(sums) - 1)
    return math.sqrt(factor * math.fsum(total * total for total in sums.values())) / len(values)


def clustered_mean(scores: Sequence[float], clusters: Sequence[Hashable]) -> Estimate:
    """The mean of scores from 0 to 1 with its 95 % interval.

    It is Wilson's interval (1927) for the number of independent questions that would have the clustered standard error
    (Korn and Graubard 1998): in the middle the usual mean ± 1.96 standard errors, near 0 and 1 it stays inside them and
    keeps a width. If all scores are equal, their images count as independent.

    Raises:
        ValueError: There are no scores.
    """
    if not scores:
        raise ValueError("the mean of no scores")
    count = len(set(clusters))
    mean = min(1.0, max(0.0, math.fsum(scores) / len(scores)))
    error = clustered_standard_error(scores, clusters)
    if error is None:
        return Estimate(mean, len(scores), count)
    variance = mean * (1 - mean)
    independent = variance / error**2 if error > 0 and variance > 0 else float(count)
    low, high = _wilson(mean, independent)
    return Estimate(mean, len(scores), count, min(low, mean), max(high, mean))


def paired_difference(first: Sequence[float], second: Sequence[float], clusters: Sequence[Hashable]) -> Difference:
    """The mean difference of two models' scores on the same questions: second minus first.

    The interval is the mean of the differences ± 1.96 of their clustered standard errors (Miller 2024, section 4.2). It
    is narrower than the two models' own intervals suggest, because most questions are as hard for both.

    Raises:
        ValueError: There are no scores.
    """
    if not first:
        raise ValueError("the difference of no scores")
    differences = [other - one for one, other in zip(first, second, strict=True)]
    mean = math.fsum(differences) / len(differences)
    error = clustered_standard_error(differences, clusters)
    if error is None:
        return Difference(mean, None, None)
    return Difference(mean, max(-1.0, mean - Z * error), min(1.0, mean + Z * error))


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact p-value of McNemar's test (1947): how likely so uneven a split is if both models are equally good.

    Of the questions that exactly one model answers right, each would then be either's with probability one half, so the
    counts are binomial. The questions count as independent here; the interval of the difference does not assume that.

    Args:
        only_first: Questions that only the first model answers right.
        only_second: Questions that only the second model answers right.

    Returns:
        Two-sided, from 0 to 1.
    """
    total, fewer = only_first + only_second, min(only_first, only_second)
    if total == 0:
        return 1.0
    # In logarithms: 2**-total is 0 in floating point from 1,075 questions on.
    log_terms = [
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) - total * math.log(2)
        for k in range(fewer + 1)
    ]
    largest = max(log_terms)
    return min(1.0, 2 * math.exp(largest) * math.fsum(math.exp(term - largest) for term in log_terms))


def _wilson(share: float, count: float) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share of `count` independent questions."""
    shrink = 1 + Z**2 / count
    middle = (share + Z**2 / (2 * count)) / shrink
    half = Z / shrink * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)
