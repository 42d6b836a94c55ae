"""`looptop settings`: prints the settings of the whole program, as the TOML that they are written in."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.output import note, say, say_json
from looptop.engine.config.meanings import meanings
from looptop.engine.encoding import dump_toml
from looptop.engine.home_settings import HomeSettings, read_home_settings, settings_path
from looptop.engine.text import visible

EXAMPLES = """\
  looptop settings
  looptop settings --json

To change a setting, write its line into settings.toml in looptop's home. A setting of one run is changed with
--set when it is started; `looptop config` lists those.
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Prints each setting with its meaning; returns 2 if the file has a mistake."""
    file, path = read_home_settings(), settings_path()
    values: dict[str, Any] = msgspec.to_builtins(file.settings)
    defaults: dict[str, Any] = msgspec.to_builtins(HomeSettings())
    helps = meanings(HomeSettings)
    if arguments.json:
        settings = {
            name: {"value": value, "default": defaults[name], "is_set": name in file.valid_keys, "help": helps[name]}
            for name, value in values.items()
        }
        say_json({"path": str(path), "settings": settings, "problems": [each.sentence for each in file.problems]})
    else:
        say(f"# {visible(path)}" + ("" if path.exists() else " (does not exist: all settings have their defaults)"))
        for name, value in values.items():
            say()
            say(f"# {helps[name]}")
            say(_line(name, value) if name in file.valid_keys else f"# {_line(name, value)}")
    for problem in file.problems:
        note(f"looptop: {problem.sentence}")
    return 2 if file.problems else 0


def _line(name: str, value: object) -> str:
    return dump_toml({name: value}).decode().strip()
