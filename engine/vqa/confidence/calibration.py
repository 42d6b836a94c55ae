"""Calibrates confidences: of all answers given 80 % confidence, 80 % should be right.

The model's probability of its answer is scaled by one temperature (Guo et al., "On Calibration of Modern Neural
Networks", ICML 2017), applied to two outcomes, "this answer" and "another one": the log-odds are divided by the
temperature. The number of possible answers does not matter then, nor how many of them a search has listed.

- An answer that is less probable than all others together keeps its probability: with two outcomes a temperature would
  pull it towards one half, although there are many other answers.
- The other answers share what remains in proportion to their probabilities. So the order of answers never changes, and
  their confidences sum to at most 1.
- Odds above a million to one count as a million to one: single precision cannot tell them apart.

This module uses no tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

SCALED_FROM = 0.5
"""The smallest probability that is scaled; a smaller one stays as it is."""

MAX_ODDS = 1e6

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 100.0

BINS = 15
"""The number of bins of the expected calibration error, as in Guo et al."""


def calibrate(probability: float, temperature: float) -> float:
    """The calibrated confidence of the most probable answer.

    Args:
        probability: The model's probability of it, from 0 to 1.
        temperature: Above 1 for a model that is too sure, below 1 for one that is not sure enough.
    """
    if probability < SCALED_FROM:
        return probability
    return 1 / (1 + math.exp(-_log_odds(probability) / temperature))


def calibrate_all(probabilities: Sequence[float], temperature: float) -> list[float]:
    """The calibrated confidences of several answers to one question.

    Args:
        probabilities: The model's probabilities, the highest first; at least one. They sum to at most 1.
        temperature: As for `calibrate`.
    """
    first, *others = probabilities
    sure = calibrate(first, temperature)
    if first < SCALED_FROM:
        return list(probabilities)
    rest = max(1 - first, math.fsum(others))
    return [sure, *((1 - sure) * (other / rest) if rest else 0.0 for other in others)]


def fit_temperature(probabilities: Sequence[float], scores: Sequence[float]) -> float:
    """The temperature at which confidences match the measured accuracy best, by the negative log-likelihood.

    The scores are pulled slightly towards 0.5, as if one more right and one more wrong answer had been seen
    (Platt, "Probabilistic Outputs for Support Vector Machines", 1999). So a model that answered all of 100 questions
    right is sure to about 99 %, not to 100 %.

    Args:
        probabilities: The probability that the model gave to each of its answers.
        scores: Each answer's accuracy, from 0 to 1.

    Returns:
        The temperature; 1 if no answer was more probable than all others together.
    """
    pairs = [pair for pair in zip(probabilities, scores, strict=True) if pair[0] >= SCALED_FROM]
    if not pairs:
        return 1.0
    right = math.fsum(score for _, score in pairs)
    wrong = len(pairs) - right
    high, low = (right + 1) / (right + 2), 1 / (wrong + 2)
    log_odds_and_targets = [(_log_odds(probability), low + (high - low) * score) for probability, score in pairs]

    def loss(log_temperature: float) -> float:
        scale = math.exp(-log_temperature)
        # -t log s(x) - (1 - t) log(1 - s(x)) = log(1 + exp(-x)) + (1 - t) x for the logistic s; no x is negative.
        return math.fsum(
            math.log1p(math.exp(-scale * x)) + (1 - target) * scale * x for x, target in log_odds_and_targets
        )

    return math.exp(_argmin(loss, math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)))


def calibration_error(confidences: Sequence[float], scores: Sequence[float]) -> float:
    """The expected calibration error: the mean distance of confidence and accuracy over bins of equal width.

    Args:
        confidences: From 0 to 1; at least one.
        scores: Each answer's accuracy, from 0 to 1.
    """
    sums = [0.0] * BINS
    for confidence, score in zip(confidences, scores, strict=True):
        sums[min(int(confidence * BINS), BINS - 1)] += confidence - score
    return math.fsum(abs(each) for each in sums) / len(confidences)


def _log_odds(probability: float) -> float:
    odds = probability / (1 - probability) if probability < 1 else MAX_ODDS
    return math.log(min(odds, MAX_ODDS))


def _argmin(function: Callable[[float], float], low: float, high: float) -> float:
    """The position of a unimodal function's minimum, to within 1e-4, by golden-section search."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > 1e-4:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = function(right)
    return (low + high) / 2
