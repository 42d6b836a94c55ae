"""Starts and controls the runs of the parts: in this process, on the device that is checked."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import looptop.engine as looptop
from looptop.engine import config as configuration
from looptop.engine.config import RunConfig
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.runs.control import Control, wait_reply
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.run import Run
from tests.support import eventually

LIMIT = 240.0
"""Seconds to wait for anything; a part's time limit comes before that."""

NOT_COMPARED = ("time/", "train_", "eval_runtime", "eval_samples_per", "eval_steps_per", "test_")
"""The beginnings of names of metrics that depend on the clock."""


def configured(kind: str, device: str, settings: Sequence[str], preset: str = "tiny") -> RunConfig:
    """A preset on a device, with settings as for `--set`."""
    return configuration.override(configuration.preset(preset, kind), [f"device={device}", *settings])


def start(config: RunConfig) -> Run:
    """Starts a run in a thread of this process."""
    return looptop.start(config)


def finish(run: Run) -> RunFolder:
    """Waits until a run has ended, and fails unless it has finished."""
    state = run.wait()
    assert state is RunState.FINISHED, f"{run.id} is {state}: {run.reason}"
    return run.folder


def stop(run: Run, checkpoint: bool = True) -> None:
    """Stops a run and waits for its end."""
    run.stop(checkpoint=checkpoint)
    state = run.wait()
    assert state is RunState.STOPPED, f"{run.id} is {state}: {run.reason}"


def reply_to(run: Run, control: Control) -> str:
    """The run's reply to a control."""
    reply = wait_reply(run.folder, control, LIMIT)
    assert reply is not None, f"{run.id} did not answer {control.kind}: {run.state} {run.reason}"
    return reply.text


def pause(run: Run) -> int:
    """Pauses a run; returns the step at which it is held."""
    run.pause()
    eventually(lambda: run.state is not RunState.RUNNING and run.state is not RunState.CREATED, limit=LIMIT)
    assert run.state is RunState.PAUSED, f"{run.id} is {run.state}: {run.reason}"
    last = run.journal.last("loss")
    return last.step if last is not None else 0


def make_step(run: Run) -> int:
    """Lets a paused run make one step; returns the step at which it is held then."""
    before = run.journal.last("loss")
    reply_to(run, run.step())

    def is_made() -> bool:
        last = run.journal.last("loss")
        return run.state.ended or (run.state is RunState.PAUSED and last is not None and last != before)

    eventually(is_made, limit=LIMIT)
    assert run.state is RunState.PAUSED, f"{run.id} is {run.state}: {run.reason}"
    last = run.journal.last("loss")
    assert last is not None
    return last.step


def hold(run: Run, stage: str) -> int:
    """Lets a PPO run continue to a stage of this batch or the next; returns the batch's step."""
    journal = PpoJournal(run.folder.db)

    def held_at() -> tuple[int, str] | None:
        batch = journal.last_batch()
        return (batch.step, batch.stage) if batch is not None and run.state is RunState.PAUSED else None

    before = held_at()
    reply_to(run, run.step(stage))

    def is_held() -> bool:
        now = held_at()
        return run.state.ended or (now is not None and now != before and now[1] == stage)

    eventually(is_held, limit=LIMIT)
    now = held_at()
    assert now is not None, f"{run.id} is {run.state}: {run.reason}"
    return now[0]


def figures(folder: RunFolder) -> dict[str, dict[int, float | None]]:
    """Every metric that does not depend on the clock, by step."""
    journal = Journal(folder.db)
    return {
        name: {point.step: point.value for point in journal.values(name)}
        for name in journal.names()
        if not name.startswith(NOT_COMPARED) and name not in ("samples_per_second", "seconds_left")
    }


def largest_difference(ours: RunFolder, theirs: RunFolder, names: Sequence[str] | None = None) -> tuple[float, str]:
    """The largest difference between two runs' figures, relative to 1 + the figure's size, and the figure's name.

    Raises:
        AssertionError: A run has a figure that the other does not have.
    """
    one, two = figures(ours), figures(theirs)
    worst, where = 0.0, "nowhere"
    for name in names or sorted(one.keys() | two.keys()):
        assert one.get(name, {}).keys() == two.get(name, {}).keys(), f"the runs have {name} for different steps"
        for step, value in one[name].items():
            other = two[name][step]
            if value is None or other is None:
                assert value is other, f"{name} of step {step} is a number in only one of the runs"
                continue
            difference = abs(value - other) / (1 + abs(other))
            if difference > worst:
                worst, where = difference, f"{name} of step {step}"
    return worst, where


def seconds_between_steps(folder: RunFolder, first: int = 2) -> list[float]:
    """Seconds of each step from the step `first` on, from the end of one step to the end of the next."""
    points = Journal(folder.db).values("loss")
    return [two.time - one.time for one, two in itertools.pairwise(points) if two.step >= first]


def set_device(folder: RunFolder, device: str) -> None:
    """Moves a run that is not live to another device."""
    configuration.save(configuration.override(folder.config(), [f"device={device}"]), Path(folder.path) / "config.toml")
