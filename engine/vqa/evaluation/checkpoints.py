"""Which of a run's models a name stands for. Imports no torch."""

from __future__ import annotations

import re
from pathlib import Path

from looptop.engine.models.names import best_checkpoint, whole_checkpoints
from looptop.engine.vqa.evaluation.records import Checkpoint, CheckpointKind
from looptop.engine.vqa.model.saved_models import BUNDLED, run_of


def checkpoint_of(model: str, folder: Path) -> Checkpoint:
    """Which model it is.

    Args:
        model: The name, as `saved_models.folder_of` takes it.
        folder: Its folder.
    """
    if model == BUNDLED:
        return Checkpoint(CheckpointKind.BUNDLED)
    run = run_of(model)
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
    best = best_checkpoint(whole)
    if best is not None and best.name == folder.name:
        return Checkpoint(CheckpointKind.BEST, step)
    is_last = bool(whole) and whole[0].name == folder.name
    return Checkpoint(CheckpointKind.LAST if is_last else CheckpointKind.STEP, step)
