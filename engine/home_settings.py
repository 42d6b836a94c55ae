"""The settings of the whole program, which a person writes into `settings.toml` in looptop's home.

Everything about one run is in its own configuration (`config.toml`) or beside it (`about.toml`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from looptop.engine.encoding import parse_toml
from looptop.engine.errors import UNREADABLE, LooptopError
from looptop.engine.files.private import read_regular
from looptop.engine.home import home
from looptop.engine.text import visible

FILE = "settings.toml"


class HomeSettings(Struct, frozen=True, kw_only=True):
    """The settings. Each has a default, so the file may be missing or hold only some of them."""

    notify: str = ""
    """A shell command that is started when any run ends, fails, raises an alert or hits a breakpoint; a run's own
    replaces it."""
    theme: Literal["last", "dark", "light"] = "last"
    """The theme that the app opens with: dark, light, or last, the one last chosen with the key for it."""


class Problem(NamedTuple):
    """Why the file, or one of its keys, is not used."""

    key: str
    """The key that is wrong; empty if the whole file cannot be read."""
    sentence: str


class SettingsFile(NamedTuple):
    """What `settings.toml` holds."""

    settings: HomeSettings
    """A key that is missing or wrong has its default."""
    valid_keys: frozenset[str]
    """The known keys to which the file gives a valid value."""
    problems: tuple[Problem, ...]


def settings_path() -> Path:
    """The path of the file, which need not exist; the home is made if missing.

    Raises:
        LooptopError: The home cannot be made.
    """
    return home() / FILE


def read_home_settings() -> SettingsFile:
    """Reads the file; a mistake in it becomes a problem, and the other settings still apply.

    Raises:
        LooptopError: The home is missing and cannot be made.
    """
    path = settings_path()
    try:
        return _checked(parse_toml(read_regular(path, follow_links=True)), path)
    except FileNotFoundError:
        return _defaults()
    except LooptopError as error:
        return _defaults(str(error))
    except OSError as error:
        return _defaults(f"cannot read {visible(path)}: {error.strerror}")
    except UNREADABLE as error:
        return _defaults(f"cannot read {visible(path)}: {visible(error)}; correct or remove the file")


def _defaults(*problems: str) -> SettingsFile:
    return SettingsFile(HomeSettings(), frozenset(), tuple(Problem("", problem) for problem in problems))


def _checked(data: Mapping[str, Any], path: Path) -> SettingsFile:
    types = {field.name: field.type for field in msgspec.structs.fields(HomeSettings)}
    valid: dict[str, Any] = {}
    problems = []
    for key, value in data.items():
        if key not in types:
            near = difflib.get_close_matches(key, types, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"the keys are: {', '.join(types)}"
            problems.append(Problem(key, f"{visible(path)}: there is no setting '{visible(key)}'; {hint}"))
            continue
        try:
            valid[key] = msgspec.convert(value, types[key])
        except msgspec.ValidationError:
            sentence = f"{key} is {visible(repr(value))}; it must be {_expected(types[key])}"
            problems.append(Problem(key, f"{visible(path)}: {sentence}"))
    return SettingsFile(HomeSettings(**valid), frozenset(valid), tuple(problems))


def _expected(field_type: Any) -> str:
    """The values that a setting takes, in words."""
    if field_type is str:
        return "a text in quotes"
    return "one of: " + ", ".join(f'"{word}"' for word in field_type.__args__)
