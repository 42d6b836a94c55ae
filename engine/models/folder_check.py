"""Checks a model's folder before anything in it is loaded, so that a stranger's model cannot run code.

It refuses code that a configuration names (`auto_map`, kernels from the hub), weights in a pickle, adapters without
weights, and configurations that are not JSON, have values of the wrong type or sizes far from those of the weights. It
does not need torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

from looptop.engine.errors import LooptopError
from looptop.engine.files.private import read_regular
from looptop.engine.models.size_check import far_size, shapes_of_weights
from looptop.engine.models.tensor_shapes import damaged
from looptop.engine.models.value_types import wrong_value
from looptop.engine.text import visible

MAX_CONFIG_BYTES = 16 * 2**20
"""Bytes of a configuration; published ones have a few kilobytes."""

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_NO_WEIGHTS = ("training_args.bin", "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth")
"""Files that Trainer leaves beside a checkpoint's weights."""
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_ADAPTER = "adapter_config.json"
_KERNELS = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")


def check_model_files(source: str | PathLike[str], *, weights: bool = False) -> None:
    """Checks the folder of a model, tokenizer or image processor. The name of a model on the hub is not checked.

    Args:
        source: Hub name or local folder.
        weights: Whether weights are loaded from it, too.

    Raises:
        LooptopError: Something in the folder would run code, or a configuration cannot be read; names the file.
    """
    _check(Path(source), weights, seen=set())


def _check(folder: Path, weights: bool, seen: set[Path]) -> None:
    if not folder.is_dir() or folder.resolve() in seen:
        return
    seen.add(folder.resolve())
    for file in sorted(folder.glob("*config*.json")):
        _check_config(file, read_config(file))
    config = folder / "config.json"
    if config.exists() and (why := far_size(read_config(config), shapes_of_weights(folder))):
        raise damaged(config, why)
    if not weights:
        return
    adapter = folder / _ADAPTER
    if adapter.exists():
        if not (folder / "adapter_model.safetensors").is_file():
            raise LooptopError(
                f"{visible(adapter)} describes an adapter, and {visible(folder)} holds no adapter_model.safetensors"
                " with its weights; name a whole model, or save the adapter again"
            )
        _check(Path(str(read_config(adapter).get("base_model_name_or_path") or "")), weights, seen)
        return
    index = folder / _INDEX
    if index.is_file():
        _check_index(index)
    if index.is_file() or (folder / _named_weights(folder)).is_file():
        return
    pickle = next((file for file in sorted(folder.iterdir()) if _is_pickle(file)), None)
    if pickle is not None:
        raise LooptopError(
            f"{visible(pickle)} is a pickle, which can run code when it is opened, and {visible(folder)} holds no"
            f" {_WEIGHTS}; save the model again with safetensors"
        )


def holds_weights(folder: Path) -> bool:
    """Whether a model's folder has weights that are loaded: safetensors, their index, or an adapter's."""
    return any((folder / name).is_file() for name in (_INDEX, _ADAPTER, _named_weights(folder)))


def _named_weights(folder: Path) -> str:
    """The name of the weights file that transformers loads."""
    config = folder / "config.json"
    chosen = read_config(config).get("transformers_weights") if config.exists() else None
    return chosen if isinstance(chosen, str) else _WEIGHTS


def _check_index(file: Path) -> None:
    """Refuses an index that names anything but safetensors files in its own folder."""
    parts = read_config(file).get("weight_map")
    for part in parts.values() if isinstance(parts, dict) else ():
        if not (isinstance(part, str) and part.endswith(".safetensors") and Path(part).name == part):
            raise LooptopError(f"{visible(file)} names weights that are not safetensors of its folder: {visible(part)}")


def read_config(file: Path) -> dict[str, Any]:
    """Reads a configuration file of a model.

    Raises:
        LooptopError: It is not a regular file, is too large, or holds no JSON object.
    """
    try:
        data = json.loads(read_regular(file, MAX_CONFIG_BYTES, follow_links=True).decode("utf-8"))
    except OSError as error:
        raise LooptopError(f"cannot read {visible(file)}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise damaged(file, "it is not JSON") from None
    if not isinstance(data, dict):
        raise damaged(file, "it holds no JSON object")
    return data


def _check_config(file: Path, data: dict[str, Any]) -> None:
    for table in _tables(data):
        if table.get("auto_map"):
            raise LooptopError(
                f"{visible(file)} names code of its own (auto_map), which looptop does not run;"
                " choose a model that transformers knows without it"
            )
        for key in _KERNELS:
            if _names_kernel(table.get(key)):
                raise LooptopError(
                    f"{visible(file)} names code from the hub ({key}), which looptop does not run; take the key out"
                )
        chosen = table.get("transformers_weights")
        if isinstance(chosen, str) and not chosen.endswith(".safetensors"):
            raise LooptopError(f"{visible(file)} names weights that are not safetensors: {visible(chosen)}")
    if why := wrong_value(file.name, data):
        raise damaged(file, why)


def _names_kernel(value: object) -> bool:
    parts = value.values() if isinstance(value, dict) else (value,)
    return any(isinstance(part, str) and "/" in part for part in parts)


def _tables(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The object, and all objects inside it."""
    waiting: list[Any] = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _is_pickle(file: Path) -> bool:
    return file.suffix in _PICKLES and file.name not in _NO_WEIGHTS and not file.name.startswith("rng_state")
