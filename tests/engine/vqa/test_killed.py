"""A run that was killed twice and lost its terminal once, laid over one that was left in peace: the same numbers."""

from __future__ import annotations

import os
import signal

from looptop.engine import config
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs import checkpoint
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.host import launch, relaunch
from tests.support import eventually, step_of
from tests.terminal.tty import PROGRAM, Tty

STEPS = 70
SETTINGS = [
    "max_images=60", "per_device_train_batch_size=32", "eval_strategy=steps", "eval_steps=8", "precision=fp32",
    f"max_steps={STEPS}",
]  # fmt: skip


def kill(run: RunFolder, after_step: int) -> None:
    """Kills the engine process once the run has made so many steps."""
    eventually(lambda: step_of(run) >= after_step, limit=120)
    owner = run.owner()
    assert owner is not None
    os.kill(owner.pid, signal.SIGKILL)
    eventually(lambda: not run.is_live())
    assert run.state() is RunState.INTERRUPTED


def test_killed_twice_and_without_its_terminal_it_computes_what_an_undisturbed_run_computes() -> None:
    words = [part for setting in SETTINGS for part in ("--set", setting)]
    with Tty([*PROGRAM, "train", "vqa", *words]) as tty:
        tty.until("vqa-1  started")
        tty.hang_up()
        tty.until_gone()
    disturbed = RunFolder.find("vqa-1")
    kill(disturbed, after_step=20)
    # The kill came while a checkpoint was written: the newest one was cut short.
    newest = next(path for path in checkpoint.steps(disturbed.checkpoints).values() if checkpoint.is_complete(path))
    with (newest / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    relaunch(disturbed.id)
    kill(disturbed, after_step=45)
    relaunch(disturbed.id)
    undisturbed = launch(config.override(config.preset("tiny"), SETTINGS))
    for run in (disturbed, undisturbed):
        eventually(lambda run=run: not run.is_live(), limit=240)  # type: ignore[misc]
        assert run.state() is RunState.FINISHED, run.summary().reason
    ours, theirs = Journal(disturbed.db), Journal(undisturbed.db)
    for name in ("loss", "grad_norm", "learning_rate", "eval_loss", "eval_accuracy", "test_loss", "test_accuracy"):
        same = [(point.step, point.value) for point in theirs.values(name)]
        assert [(point.step, point.value) for point in ours.values(name)] == same, name
    assert [point.step for point in ours.values("loss")] == list(range(1, STEPS + 1))
    events = ours.events()
    assert f"{newest.name} is incomplete and was skipped" in [event.text for event in events]
    gone_back = [(event.id, int(event.text.rpartition("-")[2])) for event in events if event.kind == "resume"]
    assert len(gone_back) == 2
    # What the journal tells of a step that was made again is marked. Nothing of one may be there: a checkpoint is whole
    # on the disk a moment before the journal tells of it, and the kill can come between.
    for event in events:
        made_again = any(event.id < resumed and step < (event.step or 0) for resumed, step in gone_back)
        assert event.superseded is made_again, event
