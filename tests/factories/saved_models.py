"""Folders of models without weights: config.json says that a folder holds a model."""

from __future__ import annotations

import json
from pathlib import Path

from looptop.engine.runs.checkpoint import seal
from looptop.engine.runs.folder import RunFolder


def put_model(folder: Path, model_type: str = "looptop-vqa") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    return folder


def put_checkpoint(run: RunFolder, step: int, *, whole: bool = True, best: int | None = None) -> Path:
    folder = put_model(run.checkpoints / f"checkpoint-{step}")
    (folder / "trainer_state.json").write_text(json.dumps({"best_global_step": best}))
    if whole:
        seal(folder)
    return folder
