"""Alerts of a run that goes wrong without failing: each once, with its figures; none for a healthy run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from looptop.engine.journal.reader import Event, Journal, JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.runs.alerts import QUESTION_ONLY, LossAlerts


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalWriter]:
    writer = JournalWriter(tmp_path / "run.db")
    writer.listeners = [LossAlerts(writer)]
    yield writer
    writer.close()


def alerts(journal: JournalWriter) -> list[Event]:
    assert journal.flush()
    return [event for event in Journal(journal.path).events() if event.kind == "alert"]


def train(journal: JournalWriter, loss: Callable[[int], float], steps: int) -> None:
    for step in range(1, steps + 1):
        journal.metrics(step, {"loss": loss(step)})


def test_a_loss_that_diverges_is_alerted_once_with_its_figures(journal: JournalWriter) -> None:
    journal.facts(total_steps=80)
    journal.metrics(0, {"eval_loss": 0.84})
    train(journal, lambda step: 0.83 if step == 1 else 0.83 * 1.2**step, 80)
    (alert,) = alerts(journal)
    assert (alert.level, alert.step) == ("warning", 31)
    assert alert.text.startswith("the training loss stays above its start: 236.4 at step 31, 0.84 before training")
    assert "training.learning_rate" in alert.text


def test_a_loss_that_stays_a_fifth_above_its_start_is_alerted(journal: JournalWriter) -> None:
    journal.metrics(0, {"eval_loss": 0.84})
    train(journal, lambda step: 0.84 if step < 5 else 1.02, 60)
    assert len(alerts(journal)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_noise_warm_up_and_spikes_raise_no_alert(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    courses: dict[str, Callable[[int], float]] = {
        # Batches of one sample: the loss of a step is as large as its noise, and the run learns slowly.
        "noisy": lambda step: float(random.exponential(1.0) * (1 - step / 4000)),
        "flat": lambda step: float(random.normal(1.0, 0.3)),
        "warm-up": lambda step: 1.0 + 0.5 * math.exp(-(((step - 12) / 6) ** 2)) - step / 2500,
        "spikes": lambda step: 300.0 if step % 9 == 0 else 1.0 / math.sqrt(step),
    }
    for name, course in courses.items():
        writer = JournalWriter(tmp_path / f"{name}.db")
        writer.listeners = [LossAlerts(writer)]
        writer.facts(total_steps=2000)
        writer.metrics(0, {"eval_loss": 1.0})
        train(writer, course, 2000)
        assert alerts(writer) == [], name
        writer.close()


def test_a_validation_loss_worse_than_before_training_is_alerted_once(journal: JournalWriter) -> None:
    journal.facts(total_steps=80)
    for step, loss in ((0, 0.84), (4, 0.9), (40, 0.845), (60, 2345.0), (80, 3000.0)):
        journal.metrics(step, {"eval_loss": loss})
    (alert,) = alerts(journal)
    assert (alert.step, alert.text) == (
        60,
        "the validation loss is worse than before training: 2345 at step 60, 0.84 before",
    )


def test_an_accuracy_no_better_than_the_question_alone_is_alerted_in_the_second_half(journal: JournalWriter) -> None:
    journal.facts(total_steps=80, **{QUESTION_ONLY: 0.67})
    for step, accuracy in ((0, 0.36), (20, 0.51), (60, 0.67), (80, 0.2)):
        journal.metrics(step, {"eval_accuracy": accuracy})
    (alert,) = alerts(journal)
    assert alert.step == 60
    assert "question alone: 67.0 % at step 60, 67.0 % without the image" in alert.text


def test_a_run_that_ends_early_is_judged_by_its_last_evaluation(journal: JournalWriter) -> None:
    journal.facts(total_steps=1000, **{QUESTION_ONLY: 0.67})
    journal.metrics(20, {"eval_accuracy": 0.4})
    assert alerts(journal) == []
    journal.state(RunState.FINISHED)
    assert len(alerts(journal)) == 1


def test_nan_is_alerted_once_for_each_loss(journal: JournalWriter) -> None:
    for step in range(1, 4):
        journal.metrics(step, {"loss": math.nan, "eval_loss": math.inf})
    assert [alert.text for alert in alerts(journal)] == ["loss is nan at step 1", "eval_loss is inf at step 1"]


@pytest.mark.parametrize(
    ("metric", "count"), [("reward", 0), ("objective/kl", 0), ("rewards/chosen", 1), ("mean_reward", 1)]
)
def test_a_trainer_that_maximises_a_reward_may_have_a_loss_that_rises(
    journal: JournalWriter, metric: str, count: int
) -> None:
    for step in range(1, 100):
        journal.metrics(step, {"loss": step / 100, metric: 1.0})
    assert len(alerts(journal)) == count


def test_a_resumed_run_keeps_its_start_and_repeats_no_alert(journal: JournalWriter) -> None:
    journal.facts(total_steps=200)
    journal.metrics(0, {"eval_loss": 0.5})
    train(journal, lambda step: 0.5, 50)
    journal.metrics(50, {"eval_loss": 0.9})
    for step in range(51, 60):
        journal.metrics(step, {"loss": 0.9})
    assert len(alerts(journal)) == 1
    resumed = LossAlerts(journal)
    resumed.replay(Journal(journal.path), 55)
    journal.listeners = [resumed]
    for step in range(56, 110):
        journal.metrics(step, {"loss": 0.9})
    journal.metrics(110, {"eval_loss": 0.95})
    texts = [alert.text for alert in alerts(journal)]
    assert len(texts) == 2, texts
    assert texts[1].startswith("the training loss stays above its start: 0.9 at step 80, 0.5 before training"), texts
