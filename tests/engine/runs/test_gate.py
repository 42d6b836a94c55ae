"""The gate in the thread that trains: where it holds a run, why, and what it says to do next."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from looptop.engine.files.lock import RunLock
from looptop.engine.journal.causes import Hold, HoldReason, Stop, StopReason
from looptop.engine.journal.reader import Journal, JournalWriter
from looptop.engine.journal.records import ControlReply, accepted
from looptop.engine.runs import control
from looptop.engine.runs.checkpoint import seal
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.gate import Gate, StepVerdict
from tests.factories.runs import config

STAGES = ("generated", "scored", "updated")
BREAKPOINT = Hold(3, "scored", HoldReason.BREAKPOINT, "kl > 10")


class Driver:
    """A gate, and a person who answers each hold with the next of `answers`, then by continuing."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.journal = JournalWriter(folder.db)
        self.gate = Gate(folder, self.journal, checkpoint_seconds=600)
        self.gate.stages = STAGES
        self.gate.on_pause = self._answer
        self.answers: list[dict[str, Any]] = []

    def _answer(self) -> None:
        self.send(**self.answers.pop(0) if self.answers else {"kind": "continue"})

    def send(self, kind: str, **details: Any) -> None:
        control.send(self.folder, kind, **details)
        self.gate._last_poll = 0.0  # The folder is read again at the next stage, however soon that is.

    def batch(self, step: int) -> list[StepVerdict]:
        """Passes all stages of a batch."""
        return [*(self.gate.at_stage(step, stage) for stage in STAGES[:-1]), self.gate.at_step_end(step)]

    def is_paused(self) -> bool:
        return self.gate.is_paused

    def controls(self) -> list[ControlReply]:
        """The replies to controls."""
        self.journal.close()
        return Journal(self.folder.db).controls()

    def holds(self) -> list[Hold]:
        """Every hold that was journalled."""
        self.journal.close()
        causes = [change.cause for change in Journal(self.folder.db).states()]
        return [cause for cause in causes if isinstance(cause, Hold)]


@pytest.fixture
def driver() -> Iterator[Driver]:
    folder = RunFolder.create("ppo", config())
    with RunLock(folder.lock):
        driver = Driver(folder)
        yield driver
        driver.journal.close()


@pytest.mark.parametrize("stage", STAGES)
def test_a_step_to_a_stage_holds_the_batch_there(driver: Driver, stage: str) -> None:
    driver.send("step", to=stage)
    assert driver.batch(3) == driver.batch(4) == [StepVerdict()] * 3
    where = "" if stage == "updated" else stage
    assert driver.holds() == [Hold(3, where, HoldReason.STAGE)]


def test_a_held_batch_goes_on_to_the_next_stage_and_then_to_the_next_step(driver: Driver) -> None:
    driver.answers = [{"kind": "step", "to": "next"}, {"kind": "step"}]
    driver.send("pause")
    driver.batch(3)
    driver.batch(4)
    assert driver.holds() == [
        Hold(3, "generated", HoldReason.PAUSE),
        Hold(3, "scored", HoldReason.STAGE),
        Hold(3, "", HoldReason.STEP),
    ]


def test_a_breakpoint_holds_at_its_stage_and_ends_the_steps_that_were_asked_for(driver: Driver) -> None:
    driver.send("step")
    assert driver.gate.at_stage(3, "generated") == StepVerdict()
    assert driver.gate.at_stage(3, "scored", BREAKPOINT) == StepVerdict()
    assert driver.gate.at_step_end(3) == StepVerdict()
    assert driver.holds() == [BREAKPOINT]


def test_a_run_that_is_paused_is_not_held_again_by_a_breakpoint(driver: Driver) -> None:
    driver.send("pause")
    driver.gate.at_stage(3, "scored", BREAKPOINT)
    assert driver.holds() == [Hold(3, "scored", HoldReason.PAUSE)]


def test_an_alert_holds_at_the_end_of_the_step_unless_something_else_does(driver: Driver) -> None:
    driver.gate.at_step_end(2)
    driver.gate.hold_for_alert("the loss is NaN")
    driver.gate.at_step_end(3)
    rating = Hold(4, "", HoldReason.RATING, "8 samples")
    driver.gate.hold_at_step_end(rating)
    driver.gate.hold_for_alert("the loss is NaN")
    driver.gate.at_step_end(4)
    driver.gate.at_step_end(5)
    (alert, other) = driver.holds()
    assert (alert.reason, alert.detail) == (HoldReason.ALERT, "the loss is NaN")
    assert other.reason is HoldReason.RATING


def test_an_alert_of_an_evaluation_holds_after_the_checkpoint(driver: Driver) -> None:
    driver.send("checkpoint")
    assert driver.gate.at_step_end(2) == StepVerdict(checkpoint=True)
    driver.gate.hold_for_alert("the validation loss rises")
    driver.gate.after_checkpoint(2)
    assert [(hold.step, hold.reason) for hold in driver.holds()] == [(2, HoldReason.ALERT)]


def test_a_checkpoint_is_made_again_after_a_hold_for_a_full_disk(driver: Driver) -> None:
    driver.gate.at_step_end(2)
    person = threading.Timer(0.05, driver.send, ["continue"])
    person.start()
    assert driver.gate.hold_until_continued(HoldReason.DISK, "the disk is full")
    person.join()
    driver.send("checkpoint")
    assert driver.gate.at_step_end(3).checkpoint
    assert driver.controls()[-1].message == "makes a checkpoint after step 3"


@pytest.mark.parametrize("checkpoint", [True, False])
def test_a_stop_within_a_batch_is_of_the_step_before(driver: Driver, checkpoint: bool) -> None:
    driver.gate.at_step_end(2)
    driver.send("stop", checkpoint=checkpoint)
    assert driver.gate.at_stage(3, "scored") == StepVerdict(checkpoint=checkpoint, stop=True)
    assert driver.gate.saves_before_it_stops is checkpoint
    assert driver.gate.why_stopped() == Stop(StopReason.REQUEST, 2, False)


def test_a_checkpoint_is_due_so_many_running_seconds_after_the_last_one(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = driver.gate._began = 0.0  # so that differences are exact
    monkeypatch.setattr("looptop.engine.runs.gate.time.monotonic", lambda: now)
    due = []
    for step, seconds in enumerate([599, 1, 599, 1], start=1):
        now += seconds
        due.append(driver.gate.at_step_end(step).checkpoint)
        if due[-1]:
            assert driver.gate.after_checkpoint(step) is False
    assert due == [False, True, False, True]
    assert driver.gate.running_seconds() == 1200


def test_a_pause_before_the_first_step_holds_there(driver: Driver) -> None:
    driver.send("pause")
    assert driver.gate.before_steps() is False
    assert driver.holds() == [Hold(0, "", HoldReason.PAUSE)]


def test_a_pause_during_an_evaluation_waits_for_the_checkpoint_that_is_due(driver: Driver) -> None:
    driver.send("checkpoint")
    driver.gate._step = 2
    assert driver.gate.at_step_end(3) == StepVerdict(checkpoint=True)
    driver.send("pause")
    assert driver.gate.between_steps() is False
    assert driver.is_paused(), "it did not wait for anybody to continue it"
    assert driver.gate.after_checkpoint(3) is False
    assert not driver.is_paused()
    driver.send("pause")
    assert driver.gate.between_steps() is False
    assert not driver.is_paused(), "with no checkpoint due it waited"


def test_controls_are_answered_by_what_can_be_done(driver: Driver) -> None:
    gate = driver.gate
    gate.handlers["rating"] = lambda asked: accepted("kept", f"keeps {asked.value}")
    gate.at_step_end(1)
    for kind in ("reward", "rating", "checkpoint"):
        driver.send(kind, value=0.5)
        gate.at_step_end(2)
    gate.after_checkpoint(2)
    checkpoint = driver.folder.checkpoints / "checkpoint-2"
    checkpoint.mkdir()
    driver.send("checkpoint")
    assert gate.between_steps() is False
    (checkpoint / "config.json").write_text("{}")
    seal(checkpoint)
    driver.send("checkpoint")
    gate.between_steps()
    assert [reply.code for reply in driver.controls()] == [
        "unknown_control",
        "kept",
        "checkpoint",
        "checkpoint",
        "checkpoint_exists",
    ], "a checkpoint that is not complete is made again"


def test_what_a_full_disk_refused_is_tried_again_by_a_checkpoint(driver: Driver) -> None:
    driver.send("checkpoint")
    assert driver.gate.hold_until_continued(HoldReason.DISK, "no space") is True
    assert [reply.code for reply in driver.controls()] == ["tries_again"]
    assert driver.holds() == [Hold(0, "", HoldReason.DISK, "no space")]


def test_a_gate_that_is_detached_keeps_nothing_of_the_training(driver: Driver) -> None:
    driver.gate.handlers["rating"] = lambda asked: accepted("kept", "")
    driver.gate.detach()
    assert not driver.gate.handlers
    driver.gate.request_stop()
    driver.gate.at_stage(3, "scored", BREAKPOINT)
    assert driver.is_paused(), "nobody was called to continue it"


def test_what_comes_while_the_run_is_paused_or_has_ended_is_answered_too(driver: Driver) -> None:
    def pause_and_continue() -> None:
        for kind in ("pause", "continue"):
            driver.send(kind)

    driver.gate.on_pause = pause_and_continue
    driver.gate.at_stage(3, "scored", BREAKPOINT)
    control.send(driver.folder, "stop")
    control.send(driver.folder, "continue")
    stops = driver.gate.stops
    driver.gate.end()
    assert driver.gate.stops == stops + 1, "a stop that comes too late still ends what waits for room on a disk"
    assert [reply.code for reply in driver.controls()] == ["paused_already", "goes_on", "too_late", "too_late"]
