"""A healthy run raises no alert: recorded runs of the default presets, and courses with noise, warm-ups and spikes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.runs.alerts.courses import Values, judged, losses, recorded, resumed, timed

SEEDS = st.integers(0, 2**32)


@pytest.mark.parametrize("name", ["vqa-tiny", "ppo-tiny"])
def test_recorded_runs_of_the_default_presets_raise_none(name: str) -> None:
    values, kind, facts = recorded(name)
    assert len(values) > 280
    assert judged(values, kind=kind, **facts).alerts == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("course", ["noisy", "flat", "warm-up", "spikes", "cosine"])
def test_noise_warm_up_spikes_and_a_cosine_schedule_raise_none(course: str, seed: int) -> None:
    numbers = random.Random(seed)
    courses: dict[str, Callable[[int], float]] = {
        # Batches of one sample: the loss of a step is as large as its noise, and the run learns slowly.
        "noisy": lambda step: numbers.expovariate(1.0) * (1 - step / 4000),
        "flat": lambda step: numbers.gauss(1.0, 0.3),
        "warm-up": lambda step: 1.0 + 0.5 * math.exp(-(((step - 12) / 6) ** 2)) - step / 2500,
        "spikes": lambda step: 300.0 if step % 9 == 0 else 1.0 / math.sqrt(step),
        # Each half of it raises the learning rate again, and with it the loss, to less than half of what was gained.
        "cosine": lambda step: (0.3 + 0.7 * math.exp(-step / 300) + 0.1 * math.sin(step / 160)) * numbers.gauss(1, 0.1),
    }
    for steps in (300, 2000):
        assert judged(losses(courses[course], steps, before=1.0), total_steps=steps).alerts == [], steps


@given(seed=SEEDS, scale=st.floats(1e-3, 1e3), steps=st.integers(60, 400))
def test_a_loss_that_falls_with_noise_raises_none_whatever_its_scale(seed: int, scale: float, steps: int) -> None:
    numbers = random.Random(seed)
    course: list[tuple[int, dict[str, float]]] = [(0, {"eval_loss": scale})]
    for step in range(1, steps + 1):
        level = 0.1 + 0.9 * math.exp(-4 * step / steps)
        norm = (0.2 + level) * math.exp(numbers.gauss(0, 0.5))
        course.append((step, {"loss": scale * level * math.exp(numbers.gauss(0, 0.3)), "grad_norm": norm}))
        if step % 20 == 0:
            course.append((step, {"eval_loss": scale * level * numbers.gauss(1.0, 0.01)}))
    assert judged(course, total_steps=steps).alerts == []


@given(factor=st.floats(1e-6, 1e6), rise=st.sampled_from([1.01, 1.02, 1.2]))
def test_alerts_of_losses_do_not_depend_on_their_unit(factor: float, rise: float) -> None:
    def course(unit: float) -> Values:
        return losses(lambda step: unit * (1 / step if step < 50 else rise ** (step - 50) / 50), 300, before=unit)

    def raised(values: Values) -> list[tuple[str, int]]:
        return [(code, step) for code, step, _ in judged(values, total_steps=300).alerts]

    assert raised(course(factor)) == raised(course(1.0)) != []


@given(at=st.integers(1, 299), rise=st.sampled_from([0.9, 1.01, 1.02, 1.2]))
def test_a_resumed_run_raises_the_alerts_of_an_undisturbed_one(at: int, rise: float) -> None:
    course: list[tuple[int, dict[str, float]]] = [(0, {"eval_loss": 1.0, "eval_accuracy": 0.1})]
    for step in range(1, 301):
        loss = 1 / step if step < 50 else rise ** (step - 50) / 50
        course.append((step, {"loss": loss, "grad_norm": loss}))
        if step % 30 == 0:
            course.append((step, {"eval_loss": loss, "eval_accuracy": 0.2}))
    raised = judged(course, total_steps=300, question_only_accuracy=0.3)
    assert len(raised.alerts) > 1 or rise < 1
    again = resumed(course, at, total_steps=300, question_only_accuracy=0.3)
    assert again == [(code, step) for code, step, _ in raised.alerts]


@pytest.mark.parametrize("name", ["vqa-tiny", "ppo-tiny"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_recorded_run_that_is_resumed_raises_none(name: str, share: float) -> None:
    values, kind, facts = recorded(name)
    assert resumed(values, int(share * facts["total_steps"]), kind=kind, **facts) == []


def test_a_learned_model_has_small_gradients_and_raises_none() -> None:
    course: Values = [(step, {"loss": 0.9**step, "grad_norm": 0.9**step}) for step in range(1, 400)]
    assert judged(course, total_steps=400).alerts == []


def test_a_validation_loss_that_levels_off_near_zero_is_not_overfitting() -> None:
    course: list[tuple[int, dict[str, float]]] = [(0, {"eval_loss": 0.84})]
    for step in range(1, 401):
        course.append((step, {"loss": 0.5 / step}))
        if step % 40 == 0:
            course.append((step, {"eval_loss": 0.001 + 0.002 * (step > 80)}))
    assert judged(course, total_steps=400).alerts == []


def test_an_accuracy_above_the_question_alone_raises_none_nor_does_one_of_data_that_need_no_image() -> None:
    course: Values = [(step, {"eval_accuracy": value}) for step, value in ((0, 0.3), (30, 0.6), (60, 0.8))]
    assert judged(course, total_steps=80, question_only_accuracy=0.67).codes == []
    assert judged([(80, {"eval_accuracy": 1.0})], total_steps=80, question_only_accuracy=1.0).codes == []


@given(seed=SEEDS)
def test_a_throughput_that_varies_raises_none(seed: int) -> None:
    numbers = random.Random(seed)
    # The first steps are slow, single ones wait for the disk, and other programs take a fifth now and then.
    throughputs = [300.0] * 5 + [
        1000 * numbers.choice((1.0, 1.0, 0.8)) * numbers.uniform(0.9, 1.1) * (0.05 if numbers.random() < 0.02 else 1)
        for _ in range(2000)
    ]
    assert timed(throughputs, loading=0.3).alerts == []


def test_a_drop_that_ends_within_a_minute_raises_none() -> None:
    assert timed([1000.0] * 600 + [400.0] * 160 + [1000.0] * 600).alerts == []


def test_throughput_that_rises_raises_none() -> None:
    assert timed([100.0 * (1 + step / 100) for step in range(1000)]).alerts == []


def test_one_fast_block_of_steps_does_not_make_the_rest_slow() -> None:
    assert timed([100.0] * 100 + [250.0] * 50 + [100.0] * 200).alerts == []


def test_a_gradient_norm_that_grows_threefold_while_the_loss_falls_is_no_explosion() -> None:
    course: Values = [(step, {"loss": 1 / step, "grad_norm": 0.1 + 0.2 * step / 400}) for step in range(1, 401)]
    assert judged(course, total_steps=400).alerts == []


def test_where_the_training_loss_rises_too_the_model_does_not_overfit() -> None:
    course: list[tuple[int, dict[str, float]]] = [(0, {"eval_loss": 2.0})]
    for step in range(1, 81):
        course.append((step, {"loss": 1 + abs(step - 20) / 100}))
        if step % 10 == 0:
            course.append((step, {"eval_loss": 1 + abs(step - 20) / 100}))
    assert "overfitting" not in judged(course, total_steps=80).codes
