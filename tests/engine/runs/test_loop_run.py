"""A training loop without a Trainer becomes a run."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

import looptop.engine as looptop
from looptop.engine.cli.main import main
from looptop.engine.errors import LooptopError
from looptop.engine.journal.causes import Stop, StopReason
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs.control import send
from looptop.engine.runs.folder import RunFolder
from tests.support import eventually, wait_taken


def test_a_loop_leaves_a_finished_run_with_what_it_logged(capsys: pytest.CaptureFixture[str]) -> None:
    with looptop.log("my loop", total_steps=3, settings={"learning_rate": 0.1}) as run:
        run.metrics(0, {"eval_loss": 9.0})
        eventually(lambda: run.folder.state() is RunState.RUNNING)
        going_on = [run.end_step(step, {"loss": torch.tensor(1.0 / step), "rate": 2}) for step in (1, 2, 3)]
    assert going_on == [True] * 3
    (folder,) = RunFolder.all()
    assert (folder.id, folder.state(), folder.is_live()) == ("trainer-1", RunState.FINISHED, False)
    assert folder.about().title == "my loop"
    assert folder.settings()["arguments"] == {"learning_rate": 0.1}
    journal = Journal(folder.db)
    assert journal.facts()["total_steps"] == 3
    assert [(point.step, point.value) for point in journal.values("rate")] == [(1, 2.0), (2, 2.0), (3, 2.0)]
    assert [point.value for point in journal.values("loss")] == pytest.approx([1.0, 0.5, 1 / 3])
    assert [(point.step, point.value) for point in journal.values("eval_loss")] == [(0, 9.0)]
    assert main(["show", "trainer-1"]) == 0
    assert "my loop" in capsys.readouterr().out


def live_loop(saved: list[int], **options: Any) -> tuple[threading.Thread, RunFolder]:
    """A loop in a thread that continues until it is stopped, and its run."""

    def train() -> None:
        with looptop.log("live", **options) as run:
            step = 0
            while run.end_step(step := step + 1, {"loss": 1.0}):
                pass
            saved.append(-step)

    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    eventually(lambda: RunFolder.all() and Journal(RunFolder.all()[0].db).last("loss"))
    return thread, RunFolder.all()[0]


def last_step(folder: RunFolder) -> int:
    return Journal(folder.db).values("loss")[-1].step


def test_a_loop_is_paused_saved_and_stopped() -> None:
    saved: list[int] = []
    thread, folder = live_loop(saved, save=saved.append)
    assert "paused" in (wait_taken(folder, send(folder, "pause"), 60) or "")
    assert folder.state() is RunState.PAUSED
    assert "makes a checkpoint" in (wait_taken(folder, send(folder, "checkpoint"), 60) or "")
    eventually(lambda: saved)
    assert folder.state() is RunState.PAUSED, "it goes on waiting after the checkpoint"
    held_at = saved[0]
    assert wait_taken(folder, send(folder, "step"), 60)
    eventually(lambda: folder.state() is RunState.PAUSED and last_step(folder) == held_at + 1)
    assert wait_taken(folder, send(folder, "stop"), 60)
    thread.join(60)
    assert not thread.is_alive()
    assert saved == [held_at, held_at + 1, -(held_at + 1)], "a stop saves the last step, then the loop ends"
    assert (folder.state(), folder.is_live()) == (RunState.STOPPED, False)
    # The loop keeps its checkpoints itself: whether there is one is not told.
    assert folder.summary().reason == "stopped on request"
    assert Journal(folder.db).cause() == Stop(StopReason.REQUEST, held_at + 1, None)
    written = [event.step for event in Journal(folder.db).events() if event.kind == "checkpoint"]
    assert written == [held_at, held_at + 1]


def test_a_loop_without_a_save_function_says_that_nothing_is_saved() -> None:
    thread, folder = live_loop([])
    wait_taken(folder, send(folder, "stop"), 60)
    thread.join(60)
    (event,) = (event for event in Journal(folder.db).events() if event.kind == "checkpoint")
    assert "no checkpoint was written" in event.text
    assert folder.state() is RunState.STOPPED


@pytest.mark.parametrize(
    ("error", "state", "reason", "cause"),
    [
        (ValueError("a bad batch"), RunState.FAILED, "ValueError: a bad batch", None),
        (KeyboardInterrupt(), RunState.STOPPED, "stopped by the keyboard", StopReason.IMMEDIATE),
    ],
)
def test_a_loop_that_raises_has_failed(
    error: BaseException, state: RunState, reason: str, cause: StopReason | None
) -> None:
    with pytest.raises(type(error)), looptop.log() as run:
        run.end_step(1, {"loss": 1.0})
        raise error
    (folder,) = RunFolder.all()
    assert (folder.state(), folder.is_live()) == (state, False)
    assert folder.summary().reason == reason
    stop = Journal(folder.db).cause()
    assert (None if stop is None else stop.reason) is cause
    assert Journal(folder.db).last("loss") is not None


def test_a_loop_can_be_stopped_by_an_alert() -> None:
    made = 0
    with looptop.log(on_alert="stop") as run:
        for step in range(1, 10):
            made = step
            if not run.end_step(step, {"loss": float("nan") if step == 3 else 1.0}):
                break
    assert made == 3
    state, reason = Journal(run.folder.db).state()
    assert state is RunState.STOPPED and reason.startswith("stopped by an alert: loss is nan at step 3")
    stop = Journal(run.folder.db).cause()
    assert stop is not None and stop.reason is StopReason.ALERT
    wrong = looptop.log(on_alert="shout")  # type: ignore[arg-type]
    with pytest.raises(LooptopError, match="on_alert is 'shout'; it must be continue, notify, pause or stop"), wrong:
        pass


def test_a_metric_that_becomes_nan_is_alerted_once() -> None:
    with looptop.log() as run:
        for step in (1, 2):
            run.end_step(step, {"grad_norm": float("nan"), "loss": float("inf"), "note": "text"})
    alerts = [event.text for event in Journal(run.folder.db).events() if event.kind == "alert"]
    assert sorted(text.partition(".")[0] for text in alerts) == ["grad_norm is nan at step 1", "loss is inf at step 1"]
    assert "note" not in Journal(run.folder.db).names()


def test_a_name_that_is_no_text_becomes_one() -> None:
    with looptop.log() as run:
        run.end_step(1, {"loss": 1.0, 7: 2.0, None: 3.0})  # type: ignore[dict-item]
        run.end_step(2, {"loss": 0.5})
    journal = Journal(run.folder.db)
    assert journal.state()[0] is RunState.FINISHED
    assert set(journal.names()) == {"loss", "7", "None"}
    assert [point.step for point in journal.values("loss")] == [1, 2]
