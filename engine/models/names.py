"""Resolves the name of a model: `bundled:PART`, a run's id, or any name that transformers takes.

It does not import torch, so a list of models is quick to make.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
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
"""The beginning of the name of a bundled part."""

ADAPTERS = "adapter_config.json"
"""The file that a folder of only adapters holds instead of config.json."""

MAX_ADAPTER_CHAIN = 8
"""The longest chain of runs with adapters that started from one another's checkpoints."""


def resolve(name: str) -> str:
    """The folder of a bundled part (`bundled:text_encoder`), or of a run's result if the name is the run's id or
    folder; other names unchanged.

    Raises:
        LooptopError: There is no such bundled part (the message lists them all), or the run has no model yet.
    """
    if name.startswith(BUNDLED):
        return str(_part(name))
    run = RunFolder.named(name)
    return name if run is None else str(result_of(run, _is_any_model))


def adapted_from(source: str | PathLike[str]) -> str | None:
    """The model that the adapters in a folder were trained on, as `resolve` returns it; None for a folder with a whole
    model.

    A checkpoint of a run with `model.lora_rank` holds only adapters.

    Args:
        source: A local folder. A name on the hub means a whole model and gives None.

    Raises:
        LooptopError: The folder does not name the model that its adapters belong to.
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
        raise LooptopError(f"{visible(folder)} holds only adapters and does not name the model that they belong to")
    if Path(base).absolute() == folder.absolute():
        raise LooptopError(f"{visible(folder)} names itself as the model of its adapters; its {ADAPTERS} is damaged")
    return resolve(base)


def resolve_adapters(source: str) -> str:
    """The whole model that a folder's adapters are based on, through any further adapters; a source without adapters
    unchanged.

    Raises:
        LooptopError: A folder does not name the model of its adapters, or the chain of adapters is too long.
    """
    for _ in range(MAX_ADAPTER_CHAIN):
        base = adapted_from(source)
        if base is None:
            return source
        source = base
    raise LooptopError(f"the adapters in {visible(source)} are based on adapters, more than {MAX_ADAPTER_CHAIN} deep")


def _is_any_model(folder: Path) -> bool:
    return any(read_json(folder / name) for name in ("config.json", ADAPTERS))


def result_of(run: RunFolder, is_model: Callable[[Path], bool]) -> Path:
    """The folder of a run's result. Before there is one: its best checkpoint, or the newest.

    Args:
        run: The run.
        is_model: Whether a folder holds a model of the wanted kind.

    Raises:
        LooptopError: The run has no model yet.
    """
    refuse_unsafe_folder(run.model, inside=True)
    if is_model(run.model):
        return run.model
    whole = whole_checkpoints(run, is_model)
    if not whole:
        if (run.model / "config.json").exists():
            read_config(run.model / "config.json")  # says what is damaged
        raise LooptopError(
            f"{run.id} has no model yet: it is {run.summary().state.value} and has no complete checkpoint"
        )
    return best_checkpoint(whole) or whole[0]


def best_checkpoint(whole: Sequence[Path]) -> Path | None:
    """The checkpoint of the best evaluation so far; None if it is unknown or deleted.

    Args:
        whole: A run's whole checkpoints, the newest first: it knows which one is the best.
    """
    best = read_json(whole[0] / "trainer_state.json").get("best_global_step") if whole else None
    return next((folder for folder in whole if folder.name == f"checkpoint-{best}"), None)


def whole_checkpoints(run: RunFolder, is_model: Callable[[Path], bool]) -> list[Path]:
    """The complete checkpoints that hold a model, the newest first."""
    folders = checkpoint.steps(run.checkpoints).values()
    return [folder for folder in folders if checkpoint.is_complete(folder) and is_model(folder)]


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one if the file does not hold one."""
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
