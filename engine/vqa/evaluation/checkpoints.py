"""Which of a run's models a name stands for. Imports no torch."""

from __future__ import annotations

import re
from pathlib import Path

from looptop.engine.models.names import read_json, whole_checkpoints
from looptop.engine.runs.folder import RunFolder
from looptop.engine.vqa.evaluation.records import Checkpoint, CheckpointKind
from looptop.engine.vqa.saved_models import BUNDLED


def checkpoint_of(model: str, folder: Path) -> Checkpoint:
    """Which model it is.

    Args:
        model: The name, as `saved_models.folder_of` takes it.
        folder: Its folder.
    """
    if model == BUNDLED:
        return Checkpoint(CheckpointKind.BUNDLED)
    run = RunFolder.named(model.partition(":")[0])
    if run is None:
        return Checkpoint(CheckpointKind.FOLDER)
    if folder == run.model:
        summary = run.summary()
        return Checkpoint(CheckpointKind.BEST, summary.result_step)
    number = re.fullmatch(r"checkpoint-(\d+)", folder.name)
    if number is None:
        return Checkpoint(CheckpointKind.FOLDER)
    step = int(number[1])
    whole = whole_checkpoints(run, lambda one: True)
    # The newest checkpoint knows which one is the best so far.
    best = read_json(whole[0] / "trainer_state.json").get("best_global_step") if whole else None
    if step == best:
        return Checkpoint(CheckpointKind.BEST, step)
    is_last = bool(whole) and whole[0].name == folder.name
    return Checkpoint(CheckpointKind.LAST if is_last else CheckpointKind.STEP, step)
