"""What the name of a model stands for: `bundled:PART`, a run's id, or anything that transformers takes.

Without torch, so that a list of models costs nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any

from looptop.engine.errors import LooptopError
from looptop.engine.files.private import refuse_unsafe_folder
from looptop.engine.models.folder_check import read_config
from looptop.engine.runs import checkpoint
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

BUNDLED = "bundled:"
"""What the name of a part that looptop brings along begins with."""

ADAPTERS = "adapter_config.json"
"""What a folder of adapters alone holds in the place of config.json."""

MOST_ADAPTERS = 8
"""Runs with adapters that can have begun from one another's checkpoints."""


def resolve(name: str) -> str:
    """The folder of a bundled part (`bundled:text_encoder`) or of the result of a run, by its id or its folder; other
    names unchanged.

    Raises:
        LooptopError: looptop brings no such part along (those that it does are named), or the run has no model yet.
    """
    if name.startswith(BUNDLED):
        return str(_part(name))
    run = RunFolder.named(name)
    return name if run is None else str(result_of(run, _is_any_model))


def adapted_from(source: str | PathLike[str]) -> str | None:
    """What the adapters in a folder were trained on, as `resolve` gives it; None where it holds a model of its own.

    A checkpoint of a run with `model.lora_rank` holds adapters alone.

    Args:
        source: A local folder; of hub names, which hold whole models, nothing is known here.

    Raises:
        LooptopError: The folder does not say what the adapters belong to.
    """
    folder = Path(source)
    if (folder / "config.json").is_file() or not (folder / ADAPTERS).is_file():
        return None
    run = RunFolder(folder.absolute().parents[1])
    base: object = None
    if folder.absolute().parent == run.checkpoints and run.config_file.is_file():
        model = run.settings().get("model")
        base = model.get("policy") if isinstance(model, dict) else None
    else:
        base = read_json(folder / ADAPTERS).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise LooptopError(f"{visible(folder)} holds adapters alone and does not say which model they belong to")
    if Path(base).absolute() == folder.absolute():
        raise LooptopError(f"{visible(folder)} says that its adapters belong to themselves; its {ADAPTERS} is damaged")
    return resolve(base)


def whole_model(source: str) -> str:
    """The model below the adapters of a folder, or below theirs; a source that holds no adapters alone unchanged.

    Raises:
        LooptopError: A folder does not say what its adapters belong to.
    """
    for _ in range(MOST_ADAPTERS):
        base = adapted_from(source)
        if base is None:
            return source
        source = base
    raise LooptopError(f"{visible(source)} holds adapters on adapters on adapters, without an end")


def _is_any_model(folder: Path) -> bool:
    return any(read_json(folder / name) for name in ("config.json", ADAPTERS))


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
    folders = checkpoint.steps(run.checkpoints).values()
    return [folder for folder in folders if checkpoint.is_complete(folder) and is_model(folder)]


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
