"""Prepares a configuration for a new run: makes file names absolute, and refuses files and devices that are missing.

A run can be resumed from any folder, so its file names must be absolute. And a missing file is better reported before
there is a run than by a run that fails.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.config.reward import RewardRunConfig
from looptop.engine.config.settings import RunConfig, from_dict, preset, presets, to_dict
from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.errors import SettingError
from looptop.engine.startup.limits import refuse_impossible
from looptop.engine.text import visible

# Names that never mean a file, whatever the current folder holds.
_RESERVED = ("bundled", "easy-vqa", "vqa-v2", "newsroom")
_TABLES = (".csv", ".jsonl", ".json", ".parquet")
_VQA_V2 = ("annotations", "questions", "images")
_PATHS = ("/", "./", "../", "~")


def with_checked_sources(config: RunConfig) -> RunConfig:
    """The configuration of a new run: with absolute file names, and checked for missing files and devices.

    Raises:
        LooptopError: Something that it names is missing; says what else can be given.
    """
    config = with_absolute_paths(config)
    refuse_missing(config)
    refuse_impossible(config)
    return config


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """The configuration with the name of every file or folder that exists made absolute; other names unchanged."""
    data = to_dict(_without_files_of_the_preset(config))
    for table, name, _ in _names(data):
        file, colon, function = table[name].partition(":") if name == "function" else (table[name], "", "")
        if (path := _existing(file)) is not None:
            table[name] = f"{path}{colon}{function}"
    return from_dict(data)


def _without_files_of_the_preset(config: RunConfig) -> RunConfig:
    """Clears the preset's image folder and files if the person chose another data source."""
    if isinstance(config, VqaRunConfig) and config.data.images and config.preset in presets(config.kind):
        own = preset(config.preset, config.kind)
        if isinstance(own, VqaRunConfig) and own.data.source != config.data.source:
            names = [name for name in _VQA_V2 if getattr(config.data, name) == getattr(own.data, name)]
            data = msgspec.structs.replace(config.data, **dict.fromkeys(names, ""))
            return msgspec.structs.replace(config, data=data)
    return config


def refuse_missing(config: RunConfig) -> None:
    """Refuses data and models that are named by a path on this machine and do not exist.

    Raises:
        LooptopError: One does not exist; says what else can be given.
    """
    source = config.data.source
    for table, name, key in _names(to_dict(config)):
        file = table[name].partition(":")[0] if name == "function" else table[name]
        if name != "source" and file.startswith(_PATHS) and _existing(file) is None:
            raise SettingError(_full(key, config), f"{key} names {visible(file)}, which is not there")
    if isinstance(config, VqaRunConfig):
        _refuse_missing_vqa(config)
    elif source.lower().endswith(_TABLES) and _existing(source) is None:
        raise SettingError(
            "data.source", f"there is no file {visible(source)}; give the path of a CSV, JSONL or Parquet file"
        )
    elif source.startswith(_PATHS) and _existing(source) is None:
        raise SettingError(
            "data.source", f"there is nothing at {visible(source)}; give a file, a data set's name, or newsroom"
        )


def _refuse_missing_vqa(config: VqaRunConfig) -> None:
    data = config.data
    if data.source == "vqa-v2":
        for key in _VQA_V2:
            name = getattr(data, key)
            if _existing(name) is None:
                problem = f"names {visible(name)}, which is not there" if name else "is not given"
                raise SettingError(f"data.{key}", f"data.{key} {problem}; say where it is with --set data.{key}=PATH")
    elif data.source != "easy-vqa" and _existing(data.source) is None:
        raise SettingError(
            "data.source",
            f"there is no data '{visible(data.source)}'; give easy-vqa, vqa-v2, or a folder with images and a table",
        )


def _names(data: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Each setting that may name a file: its table, its name in the table, and the key that a person types."""
    of_kind: dict[type[RunConfig], dict[str, tuple[str, ...]]] = {
        VqaRunConfig: {
            "data": ("source", "annotations", "questions", "images"),
            "model": ("text_encoder", "image_encoder", "decoder", "start_from"),
        },
        PpoRunConfig: {"data": ("source",), "model": ("policy", "reference")},
        RewardRunConfig: {"data": ("source",), "model": ("classifier",)},
    }
    for table, names in of_kind[type(from_dict(data))].items():
        yield from ((data[table], name, name) for name in names if data[table].get(name))
    for reward in data.get("rewards", ()):
        keys = {name: f"rewards.{reward['name']}.{name}" for name in ("model", "function")}
        yield from ((reward, name, key) for name, key in keys.items() if reward.get(name))


def _full(key: str, config: RunConfig) -> str:
    """The key with its table; `_names` gives some keys without it."""
    if "." in key:
        return key
    return f"data.{key}" if hasattr(config.data, key) else f"model.{key}"


def _existing(name: str) -> Path | None:
    """The absolute path of the file or folder with this name; None if there is none."""
    if name.partition(":")[0] in _RESERVED or _is_run(name):
        return None
    with contextlib.suppress(OSError, RuntimeError):  # a name that is too long; ~ with an unknown user
        path = Path(name).expanduser()
        if name and path.exists():
            return path.absolute()
    return None


def _is_run(name: str) -> bool:
    from looptop.engine.runs.folder import RunFolder

    return any(run.id == name for run in RunFolder.all())
