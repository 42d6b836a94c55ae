"""Which of a run's models a figure is of."""

from __future__ import annotations

from pathlib import Path

from looptop.engine import config as configuration
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.runs.folder import RunFolder
from looptop.engine.vqa.evaluation.checkpoints import checkpoint_of
from looptop.engine.vqa.model.saved_models import folder_of
from tests.factories.saved_models import put_checkpoint, put_model


def named(model: str) -> str:
    return str(checkpoint_of(model, folder_of(model)))


def test_a_runs_checkpoints_are_told_apart() -> None:
    run = RunFolder.create("vqa", configuration.preset("tiny"))
    for step in (40, 80, 120):
        put_checkpoint(run, step, best=80 if step > 40 else 40)
    assert named(run.id) == "best checkpoint, step 80"
    assert named(f"{run.id}:checkpoint-80") == "best checkpoint, step 80"
    assert named(f"{run.id}:checkpoint-120") == "last checkpoint, step 120"
    assert named(f"{run.id}:checkpoint-40") == "step 40"


def test_a_runs_result_is_its_best_checkpoint() -> None:
    run = RunFolder.create("vqa", configuration.preset("tiny"))
    put_model(run.model)
    assert named(run.id) == "best checkpoint"
    writer = JournalWriter(run.db)
    writer.facts(result={"step": 1200, "accuracy": 0.9})
    writer.close()
    assert named(run.id) == "best checkpoint, step 1,200"


def test_other_models_have_no_checkpoint(tmp_path: Path) -> None:
    assert named("bundled") == ""
    assert named(str(put_model(tmp_path / "model"))) == ""
