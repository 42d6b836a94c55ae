"""Settings that do nothing because of another setting: one table, used by the form and by the command.

Only a person's own settings count: values that differ from the preset's and ask for something. An older run is never
refused because of such a setting: it can be loaded, resumed and duplicated.
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
from looptop.engine.models.folder_check import read_config
from looptop.engine.paths import path_of
from looptop.engine.text import visible


@dataclass(frozen=True)
class EffectCondition:
    """The condition under which a setting has an effect."""

    key: str
    """`table.name`; for a part of a PPO run's reward, `rewards.*.name`."""
    holds: Callable[[Any], bool]
    """Whether the setting has an effect; called with the configuration, or with one part of the reward."""
    why_not: str
    """Follows "has no effect" in the message."""
    neutral: Any = None
    """One more value that counts as not set, besides empty values and 0. False counts as set unless it is this
    value."""


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


def _may_be_on_hub(config: Any) -> bool:
    # The source of a reward run can also be a PPO run, whose ratings it reads.
    from looptop.engine.runs.folder import RunFolder  # imports the configurations itself

    source = config.data.source
    if _is_newsroom(config) or Path(source).suffix.lower() in (".csv", ".jsonl", ".json", ".parquet"):
        return False
    if (path_of(source) / "dataset_info.json").is_file():
        return False
    return config.kind != "reward" or RunFolder.named(source) is None


def _is_newsroom(config: Any) -> bool:
    return bool(config.data.source.partition(":")[0] == "newsroom")


def _uses_validation_fraction(config: Any) -> bool:
    from looptop.engine.vqa.data.table import find_tables  # imports the image library

    source = path_of(config.data.source)
    if config.data.source in ("easy-vqa", "vqa-v2") or not source.exists():
        return True
    try:
        if (source / "dataset_dict.json").is_file():
            splits = read_config(source / "dataset_dict.json").get("splits")
            return not (isinstance(splits, list) and "validation" in splits)
        return (source / "state.json").is_file() or "validation" not in find_tables(source)
    except (LooptopError, OSError):  # reported when the data is checked
        return True


def _freezes_an_encoder(config: Any) -> bool:
    return not set(config.model.freeze) <= {"nothing", "decoder"}


def _samples(config: Any) -> bool:
    return bool(config.generation.num_beams == 1)


def _adapts(config: Any) -> bool:
    return bool(config.ppo.adap_kl_ctrl)


def _weighs_kl(config: Any) -> bool:
    return bool(config.ppo.init_kl_coef > 0)


def _uses_adam_beta2(config: Any) -> bool:
    return not config.training.optim.startswith(("adafactor", "adagrad", "adalomo", "lomo", "rmsprop", "sgd"))


def _has_adapters(config: Any) -> bool:
    return bool(config.model.lora_rank > 0)


_PARTS = "while model.start_from names a whole model"
_V2 = "unless data.source is vqa-v2"
_BEAMS = "while generation.num_beams is above 1: beams do not sample; set it to 1"
_FIXED = "while ppo.adap_kl_ctrl is false"
_NO_KL = "while ppo.init_kl_coef is 0: there is nothing to adapt"
_CLASSIFIER = "unless the reward is a model"

EFFECT_CONDITIONS = (
    EffectCondition("training.eval_steps", _by_steps, "while training.eval_strategy is epoch; set it to steps"),
    EffectCondition(
        "training.warmup_steps", _warms_up, "while training.lr_scheduler_type is constant; set it to another one"
    ),
    EffectCondition("training.num_train_epochs", _by_epochs, "while training.max_steps is given; set that to -1"),
    EffectCondition(
        "training.logging_steps", _reports, "unless training.report_to is given: the journal holds every step"
    ),
    EffectCondition("training.adam_beta2", _uses_adam_beta2, "while training.optim is no kind of Adam"),
    EffectCondition(
        "training.keep_features",
        _freezes_an_encoder,
        "while model.freeze names no encoder: only a frozen encoder's features can be kept",
    ),
    EffectCondition(
        "data.validation_fraction", _uses_validation_fraction, "while data.source has a validation split of its own"
    ),
    EffectCondition("data.min_agreement", _is_vqa_v2, _V2, neutral=1),
    EffectCondition("data.annotations", _is_vqa_v2, _V2),
    EffectCondition("data.questions", _is_vqa_v2, _V2),
    EffectCondition("data.images", _takes_image_folder, "while data.source is easy-vqa, which has its own images"),
    EffectCondition("model.text_encoder", _builds_from_parts, _PARTS),
    EffectCondition("model.image_encoder", _builds_from_parts, _PARTS),
    EffectCondition("model.decoder", _builds_from_parts, _PARTS),
    EffectCondition("data.split", _may_be_on_hub, "unless data.source is a data set on the hub"),
    EffectCondition("data.text_column", lambda config: not _is_newsroom(config), "while data.source is newsroom"),
    EffectCondition("model.lora_alpha", _has_adapters, "while model.lora_rank is 0"),
    EffectCondition("model.lora_modules", _has_adapters, "while model.lora_rank is 0"),
    EffectCondition("ppo.target_kl", lambda config: config.ppo.early_stopping, "unless ppo.early_stopping is true"),
    EffectCondition(
        "ppo.use_score_norm",
        lambda config: config.ppo.use_score_scaling,
        "unless ppo.use_score_scaling is true",
        neutral=False,
    ),
    EffectCondition("ppo.target", _adapts, _FIXED),
    EffectCondition("ppo.horizon", _adapts, _FIXED),
    EffectCondition("ppo.target", _weighs_kl, _NO_KL),
    EffectCondition("ppo.horizon", _weighs_kl, _NO_KL),
    EffectCondition("generation.temperature", _samples, _BEAMS),
    EffectCondition("generation.top_k", _samples, _BEAMS),
    EffectCondition("generation.top_p", _samples, _BEAMS, neutral=1),
    EffectCondition("rewards.*.label", lambda part: bool(part.model), _CLASSIFIER),
    EffectCondition("rewards.*.reads", lambda part: bool(part.model), _CLASSIFIER),
    EffectCondition("rewards.*.max_tokens", lambda part: bool(part.model), _CLASSIFIER),
)


def settings_without_effect(config: RunConfig, like: RunConfig | None = None) -> dict[str, str]:
    """A person's settings that have no effect, each with a sentence; by key (`table.name`).

    Args:
        config: The chosen configuration.
        like: A configuration that it is based on. Its values do not count as a person's choice, nor do the preset's.
    """
    try:
        bases = [_values(preset(config.preset, config.kind))]
    except LooptopError:  # a preset that this version does not have
        return {}
    if like is not None:
        bases.append(_values(like))
    idle: dict[str, str] = {}
    for key, (value, default, owner) in _values(config).items():
        if any(value == (base[key][0] if key in base else default) for base in bases):
            continue
        for condition in _BY_KEY.get(_pattern(key), ()):
            if (value or value is False) and value != condition.neutral and not condition.holds(owner):
                idle.setdefault(key, f"{visible(key)} has no effect {condition.why_not}")
    return idle


def refuse_settings_without_effect(config: RunConfig, like: RunConfig | None = None) -> None:
    """Refuses settings that do nothing; see `settings_without_effect`.

    Raises:
        SettingError: There is one; names it and the setting that it depends on.
    """
    for key, sentence in settings_without_effect(config, like).items():
        raise SettingError(key, f"{sentence}; or leave it out")


_BY_KEY = {
    key: [condition for condition in EFFECT_CONDITIONS if condition.key == key]
    for key in {condition.key for condition in EFFECT_CONDITIONS}
}


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
