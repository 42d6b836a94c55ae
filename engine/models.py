"""What the name of a model stands for: `bundled:PART`, a run's id, or anything that transformers takes.

Without torch, so that a list of models costs nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from looptop.engine.errors import LooptopError
from looptop.engine.model_files import read_config
from looptop.engine.runs import checkpoint
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.private import refuse_unsafe_folder
from looptop.engine.text import visible

BUNDLED = "bundled:"
"""What the name of a part that looptop brings along begins with."""


def resolve(name: str) -> str:
    """The folder of a bundled part (`bundled:text_encoder`) or of the result of a run, by its id or its folder; other
    names unchanged.

    Raises:
        LooptopError: looptop brings no such part along (those that it does are named), or the run has no model yet.
    """
    if name.startswith(BUNDLED):
        return str(_part(name))
    run = RunFolder.named(name)
    return name if run is None else str(result_of(run, lambda folder: bool(read_json(folder / "config.json"))))


def result_of(run: RunFolder, is_model: Callable[[Path], bool]) -> Path:
    """A run's result; before it is there the best of its checkpoints, else the newest.

    Args:
        run: The run.
        is_model: Whether a folder holds a model of the kind that is wanted.

    Raises:
        LooptopError: The run has none yet.
    """
    refuse_unsafe_folder(run.model, inside=True)
    if is_model(run.model):
        return run.model
    whole = whole_checkpoints(run, is_model)
    if not whole:
        raise LooptopError(f"{run.id} has no model yet: it is {run.summary().state.value} and has no whole checkpoint")
    best = read_json(whole[0] / "trainer_state.json").get("best_global_step")
    return next((folder for folder in whole if folder.name == f"checkpoint-{best}"), whole[0])


def whole_checkpoints(run: RunFolder, is_model: Callable[[Path], bool]) -> list[Path]:
    """Whole checkpoints that hold a model, the newest first."""
    found = checkpoint.steps(run.checkpoints).values()
    return [folder for folder in found if checkpoint.is_whole(folder) and is_model(folder)]


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object, or an empty one where the file does not hold one."""
    with contextlib.suppress(LooptopError):
        return read_config(file)
    return {}


def _part(name: str) -> Path:
    part = name.removeprefix(BUNDLED)
    home = Path(str(resources.files("looptop.engine"))) / "bundled"
    folders = sorted(folder.name for folder in home.iterdir() if folder.is_dir()) if home.is_dir() else []
    if part not in folders:
        known = ", ".join(BUNDLED + folder for folder in folders) or "none in this installation"
        raise LooptopError(f"there is no '{visible(name)}'; the bundled parts are: {known}")
    return home / part
