"""How long a step took and waited for its data: without pauses, evaluations and checkpoints."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from looptop.engine.runs.alerts.records import Timing
from looptop.engine.training import step_journal
from looptop.engine.training.step_journal import StepJournal


class Clock:
    """A run whose time the test sets; it stands while the run is paused."""

    def __init__(self) -> None:
        self.now = self.cpu = 0.0
        self.timings: list[Timing] = []
        self.checked: list[int] = []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> StepJournal:
    alerts = SimpleNamespace(on_timing=clock.timings.append, on_resources=lambda step: clock.checked.append(step))
    context = SimpleNamespace(
        running_seconds=lambda: clock.now,
        progress=SimpleNamespace(end=lambda: None),
        journal=SimpleNamespace(metrics=lambda step, values: None),
        alerts=alerts,
        torch_device="cpu",
    )
    trainer: Any = SimpleNamespace(
        context=context,
        step_loss=1.0,
        step_gradient_norm=None,
        loss_sum=None,
        loading_seconds=0.0,
        step_activity=lambda step: None,
        mean_of_processes=float,
        samples_of_a_step=lambda: 32,
        work_of_a_step=lambda: (32.0, "samples"),
        step_values=dict,
    )
    monkeypatch.setattr("looptop.engine.training.step_journal.time.process_time", lambda: clock.cpu)
    monkeypatch.setattr(step_journal, "_resources", lambda trainer: len(clock.timings))
    return StepJournal(trainer)


def state(step: int) -> Any:
    return SimpleNamespace(epoch=0.0, global_step=step, max_steps=100)


def test_only_the_step_itself_counts(clock: Clock, journal: StepJournal) -> None:
    anything: Any = None
    journal.on_train_begin(anything, state(0), anything)
    for step in (1, 2):
        clock.now += 2.0
        clock.cpu += 1.5
        journal.trainer.loading_seconds += 0.5
        journal.on_step_end(anything, state(step), anything)
    clock.now += 60.0  # an evaluation, and what it reads
    clock.cpu += 55.0
    journal.trainer.loading_seconds += 50.0
    journal.on_evaluate(anything, state(2), anything)
    clock.now += 3.0
    clock.cpu += 2.5
    journal.on_step_end(anything, state(3), anything)
    assert clock.timings == [
        Timing(1, 2.0, 0.5, 32.0, "samples", 1.5),
        Timing(2, 2.0, 0.5, 32.0, "samples", 1.5),
        Timing(3, 3.0, 0.0, 32.0, "samples", 2.5),
    ]
    journal.trainer.context.torch_device = "cuda:0"
    clock.cpu += 1.0
    journal.on_step_end(anything, state(4), anything)
    assert clock.timings[-1].cpu_seconds == 0.0, "on a GPU, CPU time says nothing about speed"


def test_disk_and_gpu_are_looked_at_now_and_then(clock: Clock, journal: StepJournal) -> None:
    anything: Any = None
    for step in range(1, 31):
        clock.now += 1.0
        journal.on_step_end(anything, state(step), anything)
    assert clock.checked == [1, 11, 21]
