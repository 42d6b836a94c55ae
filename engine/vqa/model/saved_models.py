"""Finds the folder of a saved VQA model by its name. Imports no torch, so that listing models is quick.

A name is `bundled`, a run's id (`vqa-7`: its result, or its best checkpoint so far), a run's checkpoint
(`vqa-7:checkpoint-120`), or a folder.
"""

from __future__ import annotations

import difflib
import re
from importlib import resources
from pathlib import Path

from msgspec import Struct

from looptop.engine.errors import LooptopError
from looptop.engine.models.folder_check import read_config
from looptop.engine.models.names import best_checkpoint, read_json, result_of, whole_checkpoints
from looptop.engine.paths import path_of
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

BUNDLED = "bundled"
"""The name of the trained model in the package."""

MODEL_TYPE = "looptop-vqa"


class ModelChoice(Struct, frozen=True):
    """A model that can answer questions."""

    name: str
    label: str
    """Its state and which checkpoint it is, for lists that show its name as well."""
    path: Path


def choices() -> list[ModelChoice]:
    """All models: the bundled one, finished runs, and complete checkpoints of other runs, newest run first."""
    models = []
    if _is_model(_bundled()):
        models.append(ModelChoice(BUNDLED, "bundled with looptop", _bundled()))
    for run in RunFolder.all():
        summary = run.summary()
        state = summary.state.value
        if _is_model(run.model):
            step = "" if summary.result_step is None else f", best checkpoint, step {summary.result_step:,}"
            models.append(ModelChoice(run.id, f"{state}{step}", run.model))
            continue
        whole = whole_checkpoints(run, _is_model)
        best = best_checkpoint(whole)
        for folder in whole:
            # The best may be the last one, too.
            which = "best checkpoint, " * (folder == best) + "last checkpoint, " * (folder == whole[0])
            label = f"{state}, {which}step {int(folder.name.removeprefix('checkpoint-')):,}"
            models.append(ModelChoice(f"{run.id}:{folder.name}", label, folder))
    return models


def split_name(name: str) -> tuple[str, str]:
    """The name of the run or folder in a model's name, and that of the checkpoint; empty if it names none."""
    run, colon, checkpoint = name.rpartition(":")
    return (run, checkpoint) if colon and re.fullmatch(r"checkpoint-\d+", checkpoint) else (name, "")


def run_of(name: str) -> RunFolder | None:
    """The run that a model's name means, or one of whose checkpoints it means; None for any other model."""
    return RunFolder.named(split_name(name)[0])


def folder_of(name: str) -> Path:
    """The folder of a model.

    Raises:
        LooptopError: There is no model of this name, or its folder holds none; suggests similar names.
    """
    if name == BUNDLED:
        if not _is_model(_bundled()):
            raise LooptopError("this installation holds no bundled model; name a run or a folder")
        return _bundled()
    before, checkpoint = split_name(name)
    if checkpoint:
        return _checkpoint(RunFolder.find(before), checkpoint)
    run = next((run for run in RunFolder.all() if run.id == name), None)
    if run is not None:
        return result_of(run, _is_model)
    folder = path_of(name)
    if not folder.is_dir():
        raise LooptopError(f"there is no model '{visible(name)}'{_suggestion(name)}")
    if any((folder / file).is_file() for file in ("config.toml", "run.db")):
        return result_of(RunFolder.find(str(folder.absolute())), _is_model)
    if not _is_model(folder):
        if not (folder / "config.json").exists():
            raise LooptopError(f"the folder {visible(folder)} holds no model: it has no config.json")
        read_config(folder / "config.json")  # says what is damaged
        raise LooptopError(f"the folder {visible(folder)} holds no model that looptop trained (config.json says so)")
    return folder


def _bundled() -> Path:
    return Path(str(resources.files("looptop.engine"))) / "bundled" / "vqa"


def _is_model(folder: Path) -> bool:
    return read_json(folder / "config.json").get("model_type") == MODEL_TYPE


def _checkpoint(run: RunFolder, name: str) -> Path:
    whole = whole_checkpoints(run, _is_model)
    for folder in whole:
        if folder.name == name:
            return folder
    names = ", ".join(folder.name for folder in whole) or "none yet"
    raise LooptopError(f"{run.id} has no whole {name}; its checkpoints are: {names}")


def _suggestion(name: str) -> str:
    known = [choice.name for choice in choices()]
    similar = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if similar:
        return f"; did you mean {' or '.join(similar)}?"
    return f"; there are: {', '.join(known) or 'none yet'}; or name a folder"
