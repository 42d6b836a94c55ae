"""Lists everything that can be set in a configuration: each setting's key, group, meaning and allowed words."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from looptop.engine.config.meanings import meanings
from looptop.engine.config.settings import RunConfig, presets

PRESET = "preset"
"""The key of the preset, which is chosen and not set."""

GROUPS = (
    "preset",
    "data",
    "model",
    "generation",
    "rewards",
    "PPO",
    "training",
    "evaluation",
    "saving and reporting",
    "computing",
)
"""The groups of settings, in the order in which they are shown. A table that is not named here is a group itself."""

_EVALUATION = "evaluation"
_REPORTING = "saving and reporting"
_COMPUTING = "computing"
_GROUP_OF = {
    "training.per_device_eval_batch_size": _EVALUATION,
    "training.eval_strategy": _EVALUATION,
    "training.eval_steps": _EVALUATION,
    "training.metric_for_best_model": _EVALUATION,
    "training.answer_samples": _EVALUATION,
    "training.early_stopping_patience": _EVALUATION,
    "training.reference_responses": _EVALUATION,
    "training.save_minutes": _REPORTING,
    "training.logging_steps": _REPORTING,
    "training.report_to": _REPORTING,
    "training.on_alert": _REPORTING,
    "training.precision": _COMPUTING,
    "training.device": _COMPUTING,
    "training.processes": _COMPUTING,
    "training.threads": _COMPUTING,
    "training.keep_features": _COMPUTING,
    "training.dataloader_num_workers": _COMPUTING,
    "model.kernels": _COMPUTING,
}

_PRESETS = {
    "vqa": "tiny: minutes on two cores, no network; book: the chapter's models on VQA v2.",
    "ppo": "tiny: minutes on two cores; tiny-hackable: a reward that can be cheated; book: the chapter's models.",
    "reward": "tiny: minutes on two cores; book: a model of the chapter's size.",
}
"""What the presets of each kind of run are."""


@dataclass(frozen=True)
class Setting:
    """One setting of a configuration."""

    key: str
    """What `--set` takes: `table.name`, or `rewards.ITS_NAME.name`; `PRESET` for the preset."""
    group: str
    meaning: str
    """One or several sentences."""
    words: tuple[str, ...] = ()
    """The values to choose from."""
    other_words: bool = False
    """Whether values that are not among `words` are allowed too."""
    several: bool = False
    """Whether the value is a list, written with commas."""
    optional: bool = False
    """Whether it can be left without a value, written as an empty text."""
    text: bool = False
    """Whether the value is a text, so that an empty one is a value too."""

    @property
    def name(self) -> str:
        """The key without its table."""
        return self.key.partition(".")[2] or self.key


def settings_of(config: RunConfig) -> list[Setting]:
    """Everything that can be set in a configuration of this kind, group by group.

    Args:
        config: The configuration; its rewards are listed one by one.
    """
    settings = [Setting(PRESET, "preset", _PRESETS[config.kind], words=tuple(presets(config.kind)))]
    for field in msgspec.structs.fields(config):
        table = getattr(config, field.name)
        if isinstance(table, Struct):
            settings += _settings_of_table(field.name, table)
        elif isinstance(table, tuple):
            for part in table:
                settings += _settings_of_table(f"{field.name}.{part.name}", part, group=field.name)
    order = {group: number for number, group in enumerate(GROUPS)}
    return sorted(settings, key=lambda setting: order.get(setting.group, len(order)))


def values_of(config: RunConfig) -> dict[str, Any]:
    """The value of every setting by key, in a configuration; None for a setting without a value."""
    values: dict[str, Any] = {PRESET: config.preset}
    for field in msgspec.structs.fields(config):
        table = getattr(config, field.name)
        if isinstance(table, Struct):
            values |= {f"{field.name}.{name}": getattr(table, name) for name in table.__struct_fields__}
        elif isinstance(table, tuple):
            for part in table:
                values |= {f"{field.name}.{part.name}.{name}": getattr(part, name) for name in part.__struct_fields__}
    return values


def _settings_of_table(table: str, values: Struct, group: str = "") -> Iterator[Setting]:
    texts = meanings(type(values))
    for field in msgspec.structs.fields(values):
        if group and field.name == "name":  # The name of a part of the reward is what it is called by.
            continue
        key = f"{table}.{field.name}"
        of_table = group or _GROUP_OF.get(key) or ("PPO" if table == "ppo" else table)
        yield Setting(key, of_table, texts.get(field.name, ""), **_of_type(field.type))


def _of_type(field_type: Any) -> dict[str, Any]:
    """What a setting's type says of its values, as arguments of `Setting`."""
    if field_type is bool:
        return {"words": ("true", "false")}
    if field_type is str:
        return {"text": True}
    origin, arguments = get_origin(field_type), get_args(field_type)
    if origin is Literal:
        return {"words": tuple(map(str, arguments))}
    if origin is Annotated:
        inner = _of_type(arguments[0])
        examples = next((each.examples for each in arguments[1:] if isinstance(each, Meta) and each.examples), None)
        return inner | ({"words": tuple(map(str, examples)), "other_words": True} if examples else {})
    if origin is tuple:
        return _of_type(arguments[0]) | {"several": True, "text": False}
    if origin in (typing.Union, types.UnionType):
        inner = next(each for each in arguments if each is not types.NoneType)
        return _of_type(inner) | {"optional": types.NoneType in arguments}
    return {}
