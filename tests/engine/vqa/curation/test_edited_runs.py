"""A run keeps its questions' losses; what a person edits while it is paused applies from the next epoch on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import looptop.engine as looptop
from looptop.engine import config
from looptop.engine.cli.main import main
from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunState
from looptop.engine.runs.control import send, wait_reply
from looptop.engine.startup.run import Run, resume
from looptop.engine.vqa.curation.edits import record_edit
from looptop.engine.vqa.curation.journal import CurationJournal
from looptop.engine.vqa.curation.records import EditKind
from tests.support import eventually, losses

SHORT = [
    "max_images=12", "per_device_train_batch_size=16", "eval_strategy=steps", "eval_steps=1000", "precision=fp32",
    "num_train_epochs=3",
]  # fmt: skip


def start(*settings: str) -> Run:
    return looptop.start(config.override(config.preset("tiny"), [*SHORT, *settings]))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[int, float], CurationJournal, int]]:
    """The losses of a run that nobody edits, its journal, and the number of steps of an epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOOPTOP_HOME", str(tmp_path_factory.mktemp("undisturbed")))
        run = start()
        assert run.wait() is RunState.FINISHED, run.reason
        yield losses(run.journal), CurationJournal(run.folder.db), run.journal.facts()["total_steps"] // 3


def edited(run: Run, row: int, kind: EditKind, answer: str = "") -> str:
    """Edits a question of a live run; gives the code of the run's answer."""
    control = record_edit(run.folder, row, kind, answer, by="app")
    assert control is not None
    reply = wait_reply(run.folder, control, 60)
    assert reply is not None
    return reply.code


def paused_at(step: int, *settings: str) -> Run:
    run = start(*settings)
    for _ in range(step):
        send(run.folder, "step")
    eventually(lambda: run.folder.state() is RunState.PAUSED and len(losses(run.journal)) == step)
    return run


def test_each_epoch_leaves_the_loss_of_every_question(
    undisturbed: tuple[dict[int, float], CurationJournal, int],
) -> None:
    by_step, journal, steps = undisturbed
    count = journal.question_count()
    assert count > 16
    epochs = journal.losses()
    assert [(each.epoch, each.step) for each in epochs] == [(1, steps), (2, 2 * steps), (3, 3 * steps)]
    assert all(len(each.losses) == count and np.isfinite(each.losses).all() for each in epochs)
    # Labels of easy-VQA have one or two tokens and an end: the mean loss of a token lies between these.
    mean = float(np.mean(epochs[0].losses))
    of_steps = [by_step[step] for step in range(1, steps + 1)]
    assert 1.5 * min(of_steps) < mean < 4 * max(of_steps)
    assert epochs[-1].losses.mean() < epochs[0].losses.mean()


def test_an_edit_needs_a_pause_and_applies_from_the_next_epoch(
    undisturbed: tuple[dict[int, float], CurationJournal, int], capsys: pytest.CaptureFixture[str]
) -> None:
    by_step, original, steps = undisturbed
    run = paused_at(2)
    count = original.question_count()
    with pytest.raises(LooptopError, match="no training question in row"):
        record_edit(run.folder, count, "drop")
    with pytest.raises(LooptopError, match="must not be empty"):
        record_edit(run.folder, 0, "relabel", " ")
    for row in range(4):
        assert edited(run, row, "drop") == "drop"
    (fifth,) = original.questions(range(4, 5))
    capsys.readouterr()
    assert main(["curate", run.id, "--relabel", fifth.question_id, "teal"]) == 0
    assert capsys.readouterr().out == f"{run.id}  question in row 4: its answer is teal, from the next epoch on\n"
    send(run.folder, "continue")
    assert run.wait() is RunState.FINISHED, run.reason
    journal, changed = CurationJournal(run.folder.db), losses(run.journal)
    assert [changed[step] for step in range(1, steps + 1)] == [by_step[step] for step in range(1, steps + 1)]
    assert any(changed[step] != by_step[step] for step in range(steps + 1, 2 * steps + 1))
    first, second, _ = journal.losses()
    assert np.isfinite(first.losses).all()
    assert np.isnan(second.losses[:4]).all() and np.isfinite(second.losses[4:]).all()
    assert [(edit.row, edit.kind, edit.step) for edit in journal.edits()][-1] == (4, "relabel", 2)
    assert any("from this epoch on: 1 with another answer, 4 left out" in e.text for e in run.journal.events())


def test_a_live_run_that_is_not_paused_refuses(undisturbed: tuple[dict[int, float], CurationJournal, int]) -> None:
    run = start("num_train_epochs=400")
    eventually(lambda: len(losses(run.journal)) > 2)
    with pytest.raises(LooptopError, match="pause it first"):
        record_edit(run.folder, 0, "drop")
    reply = wait_reply(run.folder, send(run.folder, "drop", question=0), 60)
    assert reply is not None and reply.code == "not_paused"
    run.stop(checkpoint=False)
    run.wait()


def test_a_resumed_run_goes_on_as_one_that_was_edited_and_never_stopped() -> None:
    whole = paused_at(2)
    assert edited(whole, 1, "relabel", "black") == "relabel"
    send(whole.folder, "continue")
    assert whole.wait() is RunState.FINISHED, whole.reason

    stopped = paused_at(2)
    run_id = stopped.id
    stopped.stop()
    assert stopped.wait() is RunState.STOPPED
    assert record_edit(stopped.folder, 1, "relabel", "black") is None, "a run that is not live is edited at once"
    again = resume(run_id)
    assert again.wait() is RunState.FINISHED, again.reason
    assert losses(again.journal) == losses(whole.journal)
    for ours, theirs in zip(
        CurationJournal(again.folder.db).losses(), CurationJournal(whole.folder.db).losses(), strict=True
    ):
        assert (ours.epoch, ours.step) == (theirs.epoch, theirs.step)
        assert np.array_equal(ours.losses, theirs.losses, equal_nan=True), f"epoch {ours.epoch}"


def test_a_run_made_like_another_takes_its_edits_with_it() -> None:
    parent = paused_at(1, "max_steps=2")
    edited(parent, 0, "drop")
    edited(parent, 2, "relabel", "pink")
    edited(parent, 3, "drop")
    assert edited(parent, 3, "restore") == "restore"
    send(parent.folder, "continue")
    assert parent.wait() is RunState.FINISHED, parent.reason

    chosen = config.override(config.preset("tiny"), [*SHORT, "max_steps=2"])
    fork = looptop.start(chosen, like=parent.id)
    assert fork.wait() is RunState.FINISHED, fork.reason
    journal = CurationJournal(fork.folder.db)
    assert [(edit.row, edit.kind, edit.answer, edit.by) for edit in journal.edits()] == [
        (0, "drop", "", parent.id),
        (2, "relabel", "pink", parent.id),
    ]
    assert any(f"copied from {parent.id}: 2" in event.text for event in fork.journal.events())
