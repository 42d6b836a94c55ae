"""The names that models go by, and the folders behind them. Without torch, so that a list of models costs nothing.

A name is `bundled`, a run's id (`vqa-7`: its result, or its best checkpoint so far), a run's checkpoint
(`vqa-7:checkpoint-120`), or a folder.
"""

from __future__ import annotations

import difflib
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

from msgspec import Struct

from looptop.engine.errors import LooptopError
from looptop.engine.runs import checkpoint
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

BUNDLED = "bundled"
"""The finished model that looptop brings along."""

MODEL_TYPE = "looptop-vqa"


class ModelChoice(Struct, frozen=True):
    """A model that can be asked."""

    name: str
    label: str
    """What it is, for a list."""
    path: Path


def choices() -> list[ModelChoice]:
    """What can be asked now: the bundled model, finished runs, whole checkpoints of the others, newest run first."""
    found = []
    if _is_model(_bundled()):
        found.append(ModelChoice(BUNDLED, "bundled with looptop", _bundled()))
    for run in RunFolder.all():
        state = run.summary().state.value
        if _is_model(run.model):
            found.append(ModelChoice(run.id, f"{run.id}, {state}", run.model))
            continue
        for folder in _checkpoints(run):
            label = f"{run.id} at step {folder.name.removeprefix('checkpoint-')}, {state}"
            found.append(ModelChoice(f"{run.id}:{folder.name}", label, folder))
    return found


def folder_of(name: str) -> Path:
    """The folder that a name stands for.

    Raises:
        LooptopError: No model goes by this name, or its folder holds none; says which names are near.
    """
    if name == BUNDLED:
        if not _is_model(_bundled()):
            raise LooptopError("this installation holds no bundled model; name a run or a folder")
        return _bundled()
    run_id, colon, word = name.rpartition(":")
    if colon and re.fullmatch(r"checkpoint-\d+", word):
        return _checkpoint(RunFolder.find(run_id), word)
    run = next((run for run in RunFolder.all() if run.id == name), None)
    if run is not None:
        return _result(run)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise LooptopError(f"there is no model '{visible(name)}'{_near(name)}")
    if any((folder / file).is_file() for file in ("config.toml", "run.db")):
        return _result(RunFolder.find(str(folder.absolute())))
    if not _is_model(folder):
        raise LooptopError(f"the folder {visible(folder)} holds no model that looptop trained (config.json says so)")
    return folder


def _bundled() -> Path:
    return Path(str(resources.files("looptop.engine"))) / "bundled" / "vqa"


def _is_model(folder: Path) -> bool:
    return _read(folder / "config.json").get("model_type") == MODEL_TYPE


def _read(file: Path) -> dict[str, Any]:
    """A JSON object, or an empty one where the file does not hold one."""
    try:
        data = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _checkpoints(run: RunFolder) -> list[Path]:
    """Whole checkpoints that hold a model, the newest first."""
    steps = {
        int(folder.name.removeprefix("checkpoint-")): folder
        for folder in run.checkpoints.glob("checkpoint-*")
        if folder.name.removeprefix("checkpoint-").isdigit()
    }
    newest_first = [steps[step] for step in sorted(steps, reverse=True)]
    return [folder for folder in newest_first if checkpoint.is_whole(folder) and _is_model(folder)]


def _checkpoint(run: RunFolder, name: str) -> Path:
    whole = _checkpoints(run)
    for folder in whole:
        if folder.name == name:
            return folder
    there = ", ".join(folder.name for folder in whole) or "none yet"
    raise LooptopError(f"{run.id} has no whole {name}; its checkpoints are: {there}")


def _result(run: RunFolder) -> Path:
    """The run's result; before it is there the best of its checkpoints, else the newest."""
    if _is_model(run.model):
        return run.model
    whole = _checkpoints(run)
    if not whole:
        raise LooptopError(f"{run.id} has no model yet: it is {run.summary().state.value} and has no whole checkpoint")
    best = _read(whole[0] / "trainer_state.json").get("best_global_step")
    return next((folder for folder in whole if folder.name == f"checkpoint-{best}"), whole[0])


def _near(name: str) -> str:
    known = [choice.name for choice in choices()]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; there are: {', '.join(known) or 'none yet'}; or name a folder"
