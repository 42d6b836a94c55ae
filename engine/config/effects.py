"""Settings that do nothing because of another setting: one table, read by the form and by the command.

Only what a person set counts: what differs from the preset, and asks for something. An older run's configuration is
never refused for it; it loads, resumes and can be duplicated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from looptop.engine.config.ppo import RewardConfig
from looptop.engine.config.settings import RunConfig, preset
from looptop.engine.errors import LooptopError, SettingError
from looptop.engine.text import visible


@dataclass(frozen=True)
class Effect:
    """When a setting has an effect."""

    key: str
    """`table.name`; of a part of a PPO run's reward, `rewards.*.name`."""
    holds: Callable[[Any], bool]
    """Whether the setting has an effect; called with the configuration, or with one part of the reward."""
    why_not: str
    """Stands behind "has no effect"."""
    neutral: Any = None
    """A value that asks for nothing, besides those that are empty, zero or false."""


def _by_steps(config: Any) -> bool:
    return getattr(config.training, "eval_strategy", "steps") == "steps"


def _warms_up(config: Any) -> bool:
    return bool(config.training.lr_scheduler_type != "constant")


def _by_epochs(config: Any) -> bool:
    return bool(config.training.max_steps < 0)


def _reports(config: Any) -> bool:
    return bool(config.training.report_to)


def _is_vqa_v2(config: Any) -> bool:
    return bool(config.data.source == "vqa-v2")


def _takes_image_folder(config: Any) -> bool:
    # A table's image names are relative to it.
    return bool(config.data.source != "easy-vqa")


def _builds_from_parts(config: Any) -> bool:
    return not config.model.start_from


def _is_of_the_hub(config: Any) -> bool:
    source = config.data.source
    return not (_is_newsroom(config) or Path(source).suffix.lower() in (".csv", ".jsonl", ".json", ".parquet"))


def _is_newsroom(config: Any) -> bool:
    return bool(config.data.source.partition(":")[0] == "newsroom")


def _has_adapters(config: Any) -> bool:
    return bool(config.model.lora_rank > 0)


_PARTS = "while model.start_from names a whole model"
_V2 = "unless data.source is vqa-v2"
_CLASSIFIER = "unless the reward is a model"

EFFECTS = (
    Effect("training.eval_steps", _by_steps, "while training.eval_strategy is epoch; set it to steps"),
    Effect("training.warmup_steps", _warms_up, "while training.lr_scheduler_type is constant; set it to another one"),
    Effect("training.num_train_epochs", _by_epochs, "while training.max_steps is given; set that to -1"),
    Effect("training.logging_steps", _reports, "unless training.report_to is given: the journal holds every step"),
    Effect("data.min_agreement", _is_vqa_v2, _V2, neutral=1),
    Effect("data.annotations", _is_vqa_v2, _V2),
    Effect("data.questions", _is_vqa_v2, _V2),
    Effect("data.images", _takes_image_folder, "while data.source is easy-vqa, which brings its images along"),
    Effect("model.text_encoder", _builds_from_parts, _PARTS),
    Effect("model.image_encoder", _builds_from_parts, _PARTS),
    Effect("model.decoder", _builds_from_parts, _PARTS),
    Effect("data.split", _is_of_the_hub, "unless data.source is a data set on the hub"),
    Effect("data.text_column", lambda config: not _is_newsroom(config), "while data.source is newsroom"),
    Effect("model.lora_alpha", _has_adapters, "while model.lora_rank is 0"),
    Effect("model.lora_modules", _has_adapters, "while model.lora_rank is 0"),
    Effect("ppo.target_kl", lambda config: config.ppo.early_stopping, "unless ppo.early_stopping is true"),
    Effect("ppo.use_score_norm", lambda config: config.ppo.use_score_scaling, "unless ppo.use_score_scaling is true"),
    Effect("ppo.target", lambda config: config.ppo.adap_kl_ctrl, "while ppo.adap_kl_ctrl is false"),
    Effect("ppo.horizon", lambda config: config.ppo.adap_kl_ctrl, "while ppo.adap_kl_ctrl is false"),
    Effect("rewards.*.label", lambda part: bool(part.model), _CLASSIFIER),
    Effect("rewards.*.reads", lambda part: bool(part.model), _CLASSIFIER),
    Effect("rewards.*.max_tokens", lambda part: bool(part.model), _CLASSIFIER),
)


def without_effect(config: RunConfig, like: RunConfig | None = None) -> dict[str, str]:
    """The settings that a person set and that do nothing: by key (`table.name`), a sentence each.

    Args:
        config: What was chosen.
        like: A configuration that it was chosen on top of; like the preset's, its values count as nobody's choice.
    """
    try:
        bases = [_values(preset(config.preset, config.kind))]
    except LooptopError:  # a preset that this looptop does not bring along
        return {}
    if like is not None:
        bases.append(_values(like))
    found = {}
    for key, (value, default, owner) in _values(config).items():
        effect = _BY_KEY.get(_pattern(key))
        if effect is None or not value or value == effect.neutral:
            continue
        if any(value == (base[key][0] if key in base else default) for base in bases):
            continue
        if not effect.holds(owner):
            found[key] = f"{visible(key)} has no effect {effect.why_not}"
    return found


def refuse_without_effect(config: RunConfig, like: RunConfig | None = None) -> None:
    """Refuses settings that do nothing; see `without_effect`.

    Raises:
        SettingError: Names one of them, and what it would need.
    """
    for key, sentence in without_effect(config, like).items():
        raise SettingError(key, f"{sentence}; or leave it out")


_BY_KEY = {effect.key: effect for effect in EFFECTS}


def _pattern(key: str) -> str:
    table, _, rest = key.partition(".")
    return f"rewards.*.{rest.partition('.')[2]}" if table == "rewards" else key


def _values(config: RunConfig) -> dict[str, tuple[Any, Any, Any]]:
    """Every setting by key: its value, its default, and what its effect depends on."""
    values: dict[str, tuple[Any, Any, Any]] = {}
    for field in msgspec.structs.fields(config):
        part = getattr(config, field.name)
        if isinstance(part, msgspec.Struct):
            values |= {f"{field.name}.{name}": (*pair, config) for name, pair in _pairs(part).items()}
        elif isinstance(part, tuple):
            for one in part:
                if isinstance(one, RewardConfig):
                    values |= {f"{field.name}.{one.name}.{name}": (*pair, one) for name, pair in _pairs(one).items()}
    return values


def _pairs(table: msgspec.Struct) -> dict[str, tuple[Any, Any]]:
    return {field.name: (getattr(table, field.name), field.default) for field in msgspec.structs.fields(table)}
