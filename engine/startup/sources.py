"""What a run is started with: names of files made absolute, and what can be seen to be missing said at once.

A run goes on from its configuration alone, from whatever folder it is resumed in; and what is missing is better said
before there is a run than by a run that failed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from looptop.engine.compute.device_names import refuse_absent
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.config.reward import RewardRunConfig
from looptop.engine.config.settings import RunConfig, from_dict, preset, presets, to_dict
from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.errors import SettingError
from looptop.engine.text import visible

# Names that never mean a file, whatever lies in the folder where somebody stands.
_WORDS = ("bundled", "easy-vqa", "vqa-v2", "newsroom")
_TABLES = (".csv", ".jsonl", ".json", ".parquet")
_VQA_V2 = ("annotations", "questions", "images")
_PATHS = ("/", "./", "../", "~")


def ready(config: RunConfig) -> RunConfig:
    """The configuration as a run is started with it: anchored, and everything there that can be looked for cheaply.

    Raises:
        LooptopError: Something that it names is not there; says what else can be given.
    """
    config = anchored(config)
    refuse_missing(config)
    refuse_absent(config.training.device, config.training.precision)
    return config


def anchored(config: RunConfig) -> RunConfig:
    """The configuration with every name of a file or folder that is there made absolute; other names unchanged."""
    data = to_dict(_without_files_of_the_preset(config))
    for table, name, _ in _names(data):
        where, colon, function = table[name].partition(":") if name == "function" else (table[name], "", "")
        if (path := _existing(where)) is not None:
            table[name] = f"{path}{colon}{function}"
    return from_dict(data)


def _without_files_of_the_preset(config: RunConfig) -> RunConfig:
    """Other data than the preset's does not lie in the preset's folder of images."""
    if isinstance(config, VqaRunConfig) and config.data.images and config.preset in presets(config.kind):
        own = preset(config.preset, config.kind)
        if isinstance(own, VqaRunConfig) and own.data.source != config.data.source:
            names = [name for name in _VQA_V2 if getattr(config.data, name) == getattr(own.data, name)]
            data = msgspec.structs.replace(config.data, **dict.fromkeys(names, ""))
            return msgspec.structs.replace(config, data=data)
    return config


def refuse_missing(config: RunConfig) -> None:
    """Looks for the data and the models, as far as they lie on this machine.

    Raises:
        LooptopError: It is not there; says what else can be given.
    """
    source = config.data.source
    for table, name, key in _names(to_dict(config)):
        where = table[name].partition(":")[0] if name == "function" else table[name]
        if name != "source" and where.startswith(_PATHS) and _existing(where) is None:
            raise SettingError(_full(key, config), f"{key} names {visible(where)}, which is not there")
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
    """Each table, the name in it that may mean a file, and how a person sets that."""
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
    """The setting with its table, where `_names` gives only its name."""
    if "." in key:
        return key
    return f"data.{key}" if hasattr(config.data, key) else f"model.{key}"


def _existing(name: str) -> Path | None:
    """The file or folder of this name, absolute; None where there is none."""
    if name.partition(":")[0] in _WORDS or _is_run(name):
        return None
    with contextlib.suppress(OSError, RuntimeError):  # too long for a name; ~somebody who is not
        path = Path(name).expanduser()
        if name and path.exists():
            return path.absolute()
    return None


def _is_run(name: str) -> bool:
    from looptop.engine.runs.folder import RunFolder

    return any(run.id == name for run in RunFolder.all())
