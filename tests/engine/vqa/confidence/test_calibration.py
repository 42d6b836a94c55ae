"""Confidences that agree with what is right, and that stay what they were: ordered, and at most 1 in sum."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.vqa.confidence.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    calibrate,
    calibrate_all,
    calibration_error,
    fit_temperature,
)

TEMPERATURES = st.floats(MIN_TEMPERATURE, MAX_TEMPERATURE)


@st.composite
def distributions(draw: st.DrawFn) -> list[float]:
    """Probabilities of several answers, the highest first, with a rest or without."""
    weights = draw(st.lists(st.floats(0, 1), min_size=1, max_size=8))
    total = math.fsum(weights) * draw(st.sampled_from([1.0, 1.0, 1.5, 4.0]))
    return sorted((weight / total for weight in weights), reverse=True) if total > 1e-9 else [1.0]


@given(distributions(), TEMPERATURES)
def test_the_order_stays_and_the_sum_is_at_most_one(probabilities: list[float], temperature: float) -> None:
    confidences = calibrate_all(probabilities, temperature)
    assert len(confidences) == len(probabilities)
    assert all(0 <= confidence <= 1 for confidence in confidences)
    assert all(one >= other - 1e-12 for one, other in itertools.pairwise(confidences))
    assert math.fsum(confidences) <= 1 + 1e-12


@given(distributions(), TEMPERATURES)
def test_the_number_of_candidates_changes_no_confidence(probabilities: list[float], temperature: float) -> None:
    assert calibrate_all(probabilities, temperature)[0] == calibrate_all(probabilities[:1], temperature)[0]
    assert calibrate_all(probabilities, temperature)[0] == calibrate(probabilities[0], temperature)


@given(st.floats(0, 1), st.floats(0, 1), TEMPERATURES)
def test_a_higher_probability_is_never_a_lower_confidence(one: float, other: float, temperature: float) -> None:
    low, high = sorted((one, other))
    assert calibrate(low, temperature) <= calibrate(high, temperature)


@given(st.floats(0, 1 - 1e-6))
def test_temperature_one_changes_nothing(probability: float) -> None:
    assert calibrate(probability, 1.0) == pytest.approx(probability, abs=1e-9)


def test_a_hot_temperature_lowers_and_a_cold_one_raises() -> None:
    assert calibrate(0.9, 2.0) == pytest.approx(0.75)  # odds of 9 to 1 become 3 to 1
    assert calibrate(0.75, 0.5) == pytest.approx(0.9)
    assert calibrate(0.3, 2.0) == calibrate(0.3, 0.5) == 0.3
    assert calibrate(1.0, 1.0) < 1 and calibrate(1.0, 2.0) == pytest.approx(1 - 1e-3, abs=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_fit_returns_the_temperature_that_made_the_data(temperature: float) -> None:
    rng = np.random.default_rng(3)
    probabilities = rng.uniform(0.5, 0.999, 20_000)
    right = rng.random(20_000) < [calibrate(each, temperature) for each in probabilities]
    assert fit_temperature(probabilities.tolist(), right.astype(float).tolist()) == pytest.approx(temperature, rel=0.05)


def test_the_fit_lowers_the_calibration_error() -> None:
    rng = np.random.default_rng(5)
    probabilities = rng.uniform(0.3, 1.0, 4000).tolist()
    scores = (rng.random(4000) < [calibrate(each, 3.0) for each in probabilities]).astype(float).tolist()
    temperature = fit_temperature(probabilities, scores)
    before = calibration_error(probabilities, scores)
    after = calibration_error([calibrate(each, temperature) for each in probabilities], scores)
    assert before > 0.1 and after < before / 4


def test_a_model_without_a_mistake_is_as_sure_as_its_questions_allow() -> None:
    few = calibrate(1.0, fit_temperature([1.0] * 8, [1.0] * 8))
    many = calibrate(1.0, fit_temperature([1.0] * 998, [1.0] * 998))
    assert few == pytest.approx(0.9, abs=1e-3)
    assert many == pytest.approx(0.999, abs=1e-4)


def test_without_a_sure_answer_there_is_nothing_to_fit() -> None:
    assert fit_temperature([0.2, 0.4], [1.0, 0.0]) == 1.0
    assert fit_temperature([], []) == 1.0


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_the_fit_is_finite_for_any_data(pairs: list[tuple[float, float]]) -> None:
    temperature = fit_temperature([one for one, _ in pairs], [score for _, score in pairs])
    assert MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE


def test_the_calibration_error_is_the_mean_distance_of_confidence_and_accuracy() -> None:
    assert calibration_error([0.9] * 10, [1.0] * 9 + [0.0]) == pytest.approx(0)
    assert calibration_error([1.0] * 4, [1.0, 1.0, 0.0, 0.0]) == pytest.approx(0.5)
    assert calibration_error([0.8, 0.3], [1.0, 0.0]) == pytest.approx((0.2 + 0.3) / 2)
