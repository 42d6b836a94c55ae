"""The type checker knows exactly the arguments that argparse sets."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

import pytest

from looptop.engine.cli.main import COMMANDS


@pytest.mark.parametrize("module", sorted({command.module for command in COMMANDS.values()}))
def test_what_is_declared_is_what_is_parsed(module: str) -> None:
    command: Any = import_module(f"looptop.engine.cli.{module}")
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    parsed = {action.dest: type_of(action) for action in parser._actions if action.dest != "help"}
    assert command.Arguments.__annotations__ == parsed


def type_of(action: argparse.Action) -> str:
    """The type of the attribute that an argument sets, as it is written."""
    if action.nargs == 0:
        return "bool"
    made: Any = action.type or str
    name: str = made.__name__ if isinstance(made, type) else made.__annotations__["return"]  # a class, or a function
    if action.nargs in ("*", "+") or isinstance(action, argparse._AppendAction):
        return f"list[{name}]"
    if isinstance(action.nargs, int):
        name = f"list[{name}]"
    return name if action.required or action.default is not None else f"{name} | None"
