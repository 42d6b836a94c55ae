"""A run's whole configuration: typed, read from TOML, checked as it is read, enough to start the run again.

Names of training arguments are `transformers.TrainingArguments`' own. Nothing here imports torch, so the app's form and
the command line can check what a person types at once.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import tomli_w
from msgspec import Meta, Struct

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible

Positive = Annotated[int, Meta(ge=1)]
Natural = Annotated[int, Meta(ge=0)]
# An upper bound, however far off, keeps infinity out.
PositiveFloat = Annotated[float, Meta(gt=0, le=1e300)]
NonNegativeFloat = Annotated[float, Meta(ge=0, le=1e300)]
Fraction = Annotated[float, Meta(ge=0, le=1)]

Frozen = Literal["nothing", "text_encoder", "image_encoder", "encoders", "decoder", "all"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


class ModelConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The three models and how they are put together. A name is a hub name, a local folder, or `bundled:PART`."""

    text_encoder: str
    image_encoder: str
    decoder: str
    fusion: Literal["mean", "tokens"] = "mean"
    freeze: tuple[Frozen, ...] = ("nothing",)
    start_from: str = ""
    """A whole VQA model to go on from instead of the three parts: `bundled`, a run's id, or a folder."""


class DataConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where questions, images and answers come from."""

    source: str
    """`easy-vqa`, a folder with images and a CSV or JSONL table, a prepared data set, or `vqa-v2` with the three
    below."""
    annotations: str = ""
    questions: str = ""
    images: str = ""
    start_at: Natural | None = None
    end_at: Natural | None = None
    max_images: Positive | None = None
    """So many images at most, of each split."""
    max_questions: Positive | None = None
    """So many questions of one image at most, as in listing 7.3."""
    min_agreement: Annotated[int, Meta(ge=1, le=10)] = 1
    """Of ten answers, how many must agree for a question to be kept (VQA v2 only)."""
    validation_fraction: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    """Share of the images held out for validation; an image is on one side only."""


class TrainingConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The training arguments, under Trainer's names, and what the engine adds to them."""

    num_train_epochs: PositiveFloat = 1.0
    max_steps: Annotated[int, Meta(ge=-1)] = -1
    """Optimiser steps in all; -1 goes by the epochs."""
    per_device_train_batch_size: Positive = 16
    per_device_eval_batch_size: Positive = 16
    gradient_accumulation_steps: Positive = 1
    learning_rate: PositiveFloat = 5e-5
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    warmup_steps: NonNegativeFloat = 0
    """Steps of warm-up, or a share of all steps where below 1."""
    weight_decay: NonNegativeFloat = 0.0
    adam_beta2: Annotated[float, Meta(gt=0, lt=1)] = 0.999
    max_grad_norm: NonNegativeFloat = 1.0
    """Gradients are clipped to this norm; 0 leaves them."""
    optim: str = "adamw_torch"
    seed: Natural = 42
    precision: Precision = "auto"
    """`auto`: bf16 where the device computes it natively, fp16 on an older CUDA device, else fp32."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    logging_steps: Positive = 10
    """Steps between two reports to `report_to`; the journal holds every step."""
    eval_strategy: Literal["steps", "epoch"] = "epoch"
    eval_steps: Positive = 500
    save_minutes: PositiveFloat = 5.0
    """A checkpoint at least this often, besides the one at each evaluation."""
    early_stopping_patience: Natural = 0
    """Stop after this many evaluations in a row without a better one; 0 never stops early."""
    metric_for_best_model: Literal["loss", "accuracy"] = "loss"
    keep_features: bool = True
    """Compute a frozen encoder's features once and keep them, where they fit in a quarter of the free memory."""
    dataloader_num_workers: Natural = 0
    report_to: tuple[str, ...] = ()
    """Trainer's reporters (`tensorboard`, `wandb`, `trackio`), each installed by you."""
    answer_samples: Natural = 8
    """Questions of the validation set whose answers are shown at each evaluation."""


class RunConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of a VQA run."""

    kind: Literal["vqa"] = "vqa"
    preset: str
    model: ModelConfig
    data: DataConfig
    training: TrainingConfig


_TABLES: dict[str, type[Struct]] = {
    "": RunConfig,
    "model": ModelConfig,
    "data": DataConfig,
    "training": TrainingConfig,
}


def presets() -> list[str]:
    """The names of the presets that looptop brings along."""
    folder = resources.files("looptop.engine") / "presets"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def preset(name: str) -> RunConfig:
    """One of the presets that looptop brings along.

    Raises:
        LooptopError: There is no preset of that name.
    """
    if name not in presets():
        raise LooptopError(f"there is no preset '{visible(name)}'; the presets are: {', '.join(presets())}")
    text = (resources.files("looptop.engine") / "presets" / f"{name}.toml").read_text("utf-8")
    return from_dict(tomllib.loads(text), where=f"preset {name}")


def load(path: Path) -> RunConfig:
    """Reads a configuration from a TOML file; what the file leaves out comes from its `preset` (`tiny` by default).

    Raises:
        LooptopError: The file is missing, is not TOML, or holds a key or value that is not allowed.
    """
    where = visible(path)
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise LooptopError(f"cannot read the configuration {where}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LooptopError(f"the configuration {where} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise LooptopError(f"the configuration {where} is not valid TOML: {visible(error)}") from None
    base = data.get("preset", "tiny")
    if not isinstance(base, str):
        raise LooptopError(f"{where}: preset must be a name in quotes")
    merged = to_dict(preset(base))
    for key, value in data.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merged[key] | value
        else:
            merged[key] = value
    return from_dict(merged, where=where)


def from_dict(data: Mapping[str, Any], where: str = "the configuration") -> RunConfig:
    """Checks plain data against the types above.

    Raises:
        LooptopError: Names the key, what it holds, and what it should hold.
    """
    try:
        return msgspec.convert(data, RunConfig, strict=True)
    except msgspec.ValidationError as error:
        raise LooptopError(f"{where}: {_explain(str(error), data)}") from None


def to_dict(config: RunConfig) -> dict[str, Any]:
    """The configuration as plain data, without keys that hold None (TOML has no word for it)."""
    plain: dict[str, Any] = _without_none(msgspec.to_builtins(config))
    return plain


def save(config: RunConfig, path: Path) -> None:
    """Writes the whole configuration as TOML."""
    path.write_text(tomli_w.dumps(to_dict(config)), "utf-8")


def override(config: RunConfig, settings: Iterable[str]) -> RunConfig:
    """The configuration with `key=value` settings applied, as typed behind `--set`.

    A key is `table.name`, or the name alone (`learning_rate`, `fusion`), since no name stands in two tables.
    A value is TOML; a bare word is taken as text, and a comma makes a list of words.

    Raises:
        LooptopError: A key or value is not allowed; it is named, with the nearest key that is.
    """
    data = to_dict(config)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise LooptopError(f"'{visible(setting)}' is not key=value; write for example learning_rate=1e-4")
        table, name = _find_key(key.strip())
        target = data[table] if table else data
        target[name] = _parse_value(text.strip(), _fields(table)[name])
    return from_dict(data, where="--set")


def keys() -> Iterator[str]:
    """Every key that `override` takes, as `table.name`."""
    for table in filter(None, _TABLES):
        for name in _fields(table):
            yield f"{table}.{name}"


def _fields(table: str) -> dict[str, Any]:
    structs: dict[str, type[Struct]] = {
        "": RunConfig,
        "model": ModelConfig,
        "data": DataConfig,
        "training": TrainingConfig,
    }
    struct = structs[table]
    return {field.name: field.type for field in msgspec.structs.fields(struct)}


def _find_key(key: str) -> tuple[str, str]:
    table, _, name = key.rpartition(".")
    if table and table in _TABLES and name in _fields(table):
        return table, name
    if not table:
        for candidate in filter(None, _TABLES):
            if name in _fields(candidate):
                return candidate, name
    known = list(keys()) + [known.partition(".")[2] for known in keys()]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else f"; the keys are: {', '.join(keys())}"
    raise LooptopError(f"there is no setting '{visible(key)}'{hint}")


def _parse_value(text: str, field_type: Any) -> Any:
    wants_list = "tuple[" in str(field_type)
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    if wants_list and isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    if field_type is str and not isinstance(value, str):
        return text
    if isinstance(value, int) and not isinstance(value, bool) and _takes_float(field_type):
        return float(value)
    return value


def _takes_float(field_type: Any) -> bool:
    return field_type is float or float in get_args(field_type)


def _explain(message: str, data: Mapping[str, Any]) -> str:
    """Msgspec's message with its path (`$.training.x`) put first, as a person would say it."""
    text, _, path = message.partition(" - at `$.")
    key = path.rstrip("`")
    unknown = re.match(r"Object contains unknown field `(.*)`", text)
    if unknown:
        key = f"{key}.{unknown[1]}" if key else unknown[1]
        near = difflib.get_close_matches(key, list(keys()), n=1, cutoff=0.5)
        return f"there is no key '{visible(key)}'" + (f"; did you mean '{near[0]}'?" if near else "")
    missing = re.match(r"Object missing required field `(.*)`", text)
    if missing:
        return f"the key '{visible(f'{key}.{missing[1]}' if key else missing[1])}' is missing"
    found: Any = data
    for part in filter(None, re.split(r"[.\[\]]+", key)):
        found = found[int(part)] if part.isdigit() and isinstance(found, list) else found.get(part, "?")
    said = text[0].lower() + text[1:].replace("`", "")
    if text.startswith("Invalid enum value"):
        said = f"it must be one of: {', '.join(_choices(key))}"
    return f"{visible(key)} is {visible(repr(found))}: {visible(said)}"


def _choices(key: str) -> list[str]:
    """The words that a key takes, from the `Literal` in its type."""
    table, _, name = re.sub(r"\[.*", "", key).rpartition(".")
    field_type = _fields(table)[name]
    args = get_args(field_type)
    inner = get_args(args[0]) if args else ()
    return [str(word) for word in (inner or args)]


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value
