"""Reads, checks and writes configurations: presets, TOML files, and `key=value` arguments.

Training arguments have the names of `transformers.TrainingArguments`. Nothing here imports torch, so the app's form and
the command line can check settings while a person types them.
"""

from __future__ import annotations

import difflib
import textwrap
import tomllib
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, cast, get_args, get_origin, overload

import msgspec
import tomli_w
from msgspec import Struct

from looptop.engine.config import versions
from looptop.engine.config.meanings import meanings
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.config.reward import RewardRunConfig
from looptop.engine.config.setting_keys import fields_of, keys, listed_table_type, nearest_key
from looptop.engine.config.toml_lines import line_of
from looptop.engine.config.validation_messages import explain
from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.encoding import dump_toml, parse_toml
from looptop.engine.errors import UNREADABLE, LooptopError, SettingError, error_text
from looptop.engine.text import visible

RunConfig: TypeAlias = VqaRunConfig | PpoRunConfig | RewardRunConfig
"""The whole configuration of a run of any kind."""

C = TypeVar("C", bound=RunConfig)

_KINDS: dict[str, type[VqaRunConfig] | type[PpoRunConfig] | type[RewardRunConfig]] = {
    "vqa": VqaRunConfig,
    "ppo": PpoRunConfig,
    "reward": RewardRunConfig,
}

KINDS = tuple(_KINDS)
"""The kinds of runs that the engine trains."""


@dataclass(frozen=True)
class _Entry:
    """A setting within a configuration's plain data: the mapping that holds it, its name, and its type."""

    table: dict[str, Any]
    name: str
    type: Any


def presets(kind: str = "vqa") -> list[str]:
    """The names of looptop's presets of a kind, the default first."""
    folder = resources.files("looptop.engine") / "presets" / kind
    names = (file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))
    return sorted(names, key=lambda name: (name != "tiny", name))


@overload
def preset(name: str, kind: Literal["vqa"] = "vqa") -> VqaRunConfig: ...


@overload
def preset(name: str, kind: Literal["ppo"]) -> PpoRunConfig: ...


@overload
def preset(name: str, kind: Literal["reward"]) -> RewardRunConfig: ...


@overload
def preset(name: str, kind: str) -> RunConfig: ...


def preset(name: str, kind: str = "vqa") -> RunConfig:
    """One of looptop's presets.

    Args:
        name: `tiny`, `book`, ...
        kind: `vqa`, `ppo` or `reward`.

    Raises:
        LooptopError: There is no preset of that name.
    """
    return _read_preset(name, kind)


@cache
def _read_preset(name: str, kind: str) -> RunConfig:
    if name not in presets(kind):
        raise LooptopError(f"there is no preset '{visible(name)}'; the presets are: {', '.join(presets(kind))}")
    text = (resources.files("looptop.engine") / "presets" / kind / f"{name}.toml").read_text("utf-8")
    return from_dict(tomllib.loads(text), where=f"preset {name}")


def load(path: Path, kind: str | None = None) -> RunConfig:
    """Reads a configuration from a TOML file; missing settings come from its `preset` (`tiny` by default).

    Args:
        path: The file.
        kind: The kind that the file must be of, and has if it names none; None accepts every kind, `vqa` if it names
            none.

    Raises:
        LooptopError: The file is missing, is not TOML, is of another kind, or holds a key or value that is not allowed.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise LooptopError(f"cannot read the configuration {visible(path)}: {error.strerror}") from None
    return _read(text, f"the configuration {visible(path)}", kind)


def loads(text: str, kind: str) -> RunConfig:
    """As `load`, for a text that a person has just edited: errors name the line.

    Args:
        text: The text.
        kind: The kind that it must be of.
    """
    try:
        return _read(text.encode("utf-8", "surrogatepass"), "the configuration", kind)
    except SettingError as error:
        line = line_of(text, error.key)
        where = f"line {line}: " if line is not None else ""
        raise SettingError(error.key, f"{where}{str(error).removeprefix('the configuration: ')}") from None


def _read(text: bytes, where: str, kind: str | None) -> RunConfig:
    try:
        data = parse_toml(text)
    except UnicodeDecodeError:
        raise LooptopError(f"{where} is not UTF-8 text") from None
    except UNREADABLE as error:
        raise LooptopError(f"{where} is not valid TOML: {_why_unreadable(error)}") from None
    data = versions.upgraded(data, where)
    kind_name, base = data.get("kind", kind or "vqa"), data.get("preset", "tiny")
    if not isinstance(base, str):
        raise LooptopError(f"{where}: preset must be a name in quotes")
    if not isinstance(kind_name, str) or kind_name not in _KINDS:
        raise LooptopError(f"{where}: kind is {visible(repr(kind_name))}; it must be one of: {', '.join(KINDS)}")
    if kind is not None and kind_name != kind:
        raise LooptopError(f"{where} configures a {kind_name} run, not a {kind} run; use `looptop train {kind_name}`")
    merged = to_dict(preset(base, kind_name))
    for key, value in data.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merged[key] | value
        else:
            merged[key] = value
    return from_dict(merged, where=where)


def from_dict(data: Mapping[str, Any], where: str = "the configuration") -> RunConfig:
    """Checks plain data against the types of its kind.

    Args:
        data: The plain data.
        where: What messages begin with; nothing if it is empty.

    Raises:
        LooptopError: Names the key, what it holds, and what it should hold; a `SettingError` where one key is the
            cause.
    """
    prefix = f"{where}: " if where else ""
    kind = data.get("kind", "vqa")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise LooptopError(f"{prefix}kind is {visible(repr(kind))}; it must be one of: {', '.join(KINDS)}")
    try:
        return msgspec.convert(data, _KINDS[kind], strict=True)
    except msgspec.ValidationError as error:
        key, sentence = explain(str(error), data, _KINDS[kind])
        raise SettingError(key, f"{prefix}{sentence}") from None
    except UNREADABLE as error:
        raise LooptopError(f"{prefix}{_why_unreadable(error)}") from None


def to_dict(config: RunConfig) -> dict[str, Any]:
    """The configuration as plain data, without keys that hold None (TOML cannot express it)."""
    plain: dict[str, Any] = _without_none(msgspec.to_builtins(config))
    return plain


def save(config: RunConfig, path: Path) -> None:
    """Writes the whole configuration as TOML."""
    path.write_bytes(dump_toml(versions.with_version(to_dict(config))))


def override(config: C, settings: Iterable[str]) -> C:
    """The configuration with `key=value` settings applied, as typed after `--set`.

    A key is `table.name`, or the name alone (`learning_rate`, `fusion`), since no name is in two tables; the key of a
    reward is `rewards.ITS_NAME.name`. A value is TOML; a bare word is text, and commas separate a list of words. An
    empty value removes the value of a setting that can be without one.

    Raises:
        LooptopError: A key or value is not allowed; the message names it and the closest valid key.
    """
    data = to_dict(config)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise LooptopError(f"'{visible(setting)}' is not key=value; write for example learning_rate=1e-4")
        entry = _resolve(key.strip(), data, type(config))
        entry.table[entry.name] = _parse_value(text.strip(), entry.type)
    return cast(C, from_dict(data, where=""))  # of the same kind: no setting changes it


def dump(config: RunConfig) -> str:
    """The whole configuration as TOML for a person to edit: each setting below a comment with its meaning; settings
    without a value are comments themselves.
    """
    lines: list[str] = []
    texts: dict[str, str] = {}
    for line in tomli_w.dumps(versions.with_version(to_dict(config))).splitlines():
        if line.startswith("["):
            lines.append(line)
            table = getattr(config, line.strip("[]"), None)
            if isinstance(table, tuple):
                table = table[0]
            texts = meanings(type(table)) if isinstance(table, Struct) else {}
            for name in texts:
                if getattr(table, name) is None:
                    lines += [*_comment(texts[name]), f"# {name} ="]
            continue
        meaning = texts.get(line.partition(" = ")[0])
        lines += [*_comment(meaning), line] if meaning else [line]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent="# ", subsequent_indent="# ")


_NEW_TABLE_KEYS = ("model", "function", "person")
"""Setting one of these for an unknown name adds a new table to a list of tables."""


def _resolve(key: str, data: dict[str, Any], config_type: type[Struct]) -> _Entry:
    """The setting that a typed key means."""
    fields = fields_of(config_type)
    table, _, rest = key.partition(".")
    if not rest:
        if listed_table_type(fields.get(key)) is not None:
            return _Entry(data, key, fields[key])
        for name, field_type in fields.items():
            if isinstance(field_type, type) and issubclass(field_type, Struct) and key in fields_of(field_type):
                return _Entry(data[name], key, fields_of(field_type)[key])
    elif (item := listed_table_type(fields.get(table))) is not None:
        chosen, _, name = rest.partition(".")
        known = [one["name"] for one in data[table]]
        if chosen not in known and name in _NEW_TABLE_KEYS:
            data[table] = [*data[table], {"name": chosen}]
            known.append(chosen)
        if chosen not in known:
            near = difflib.get_close_matches(chosen, known, n=1)
            hint = f"; did you mean '{table}.{near[0]}.{visible(name)}'?" if near else ""
            if not near and (first := difflib.get_close_matches(name, _NEW_TABLE_KEYS, n=1)):
                hint = f"; did you mean '{table}.{visible(chosen)}.{first[0]}', which makes a new one?"
            raise LooptopError(
                f"there is no '{visible(chosen)}' among the {table}, which are: {', '.join(known)}{hint}"
            )
        if name in fields_of(item):
            return _Entry(data[table][known.index(chosen)], name, fields_of(item)[name])
    elif isinstance(fields.get(table), type) and rest in fields_of(fields[table]):
        return _Entry(data[table], rest, fields_of(fields[table])[rest])
    nearest = nearest_key(key, data, config_type)
    hint = f"; did you mean '{nearest}'?" if nearest else f"; the keys are: {', '.join(keys(config_type))}"
    raise LooptopError(f"there is no setting '{visible(key)}'{hint}")


def _parse_value(text: str, field_type: Any) -> Any:
    if not text and types.NoneType in get_args(field_type):
        return None
    if get_origin(field_type) is Annotated:
        return _parse_value(text, get_args(field_type)[0])
    wants_list = get_origin(field_type) is tuple
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except UNREADABLE:
        value = text
    if wants_list and isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    if field_type is str and not isinstance(value, str):
        return text
    if isinstance(value, int) and not isinstance(value, bool) and _takes_float(field_type):
        return float(value)
    return value


def _takes_float(field_type: Any) -> bool:
    return field_type is float or any(_takes_float(part) for part in get_args(field_type))


def _why_unreadable(error: Exception) -> str:
    """Why a text could not be parsed, as part of a sentence."""
    if isinstance(error, RecursionError):
        return "its lists and tables are nested too deeply"
    if isinstance(error, tomllib.TOMLDecodeError):
        return error_text(error)
    return f"it has a value that is too large, or that no setting accepts ({error_text(error)})"


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value
