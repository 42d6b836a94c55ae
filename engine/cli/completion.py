"""`looptop completion`: prints the shell code that enables completion in bash, zsh or fish (uses argcomplete).

The shell starts `looptop` with the line so far in its environment. The parser that reads commands also lists what can
come next, so there is no second list of commands and options.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import argcomplete
from argcomplete.shell_integration import shellcode

from looptop.engine.cli.arguments import CommonArguments
from looptop.engine.cli.output import say
from looptop.engine.text import visible

SHELLS = ("bash", "zsh", "fish")

EXAMPLES = """\
  looptop completion bash >> ~/.bashrc
  looptop completion zsh >> ~/.zshrc
  looptop completion fish > ~/.config/fish/completions/looptop.fish
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    shell: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("shell", choices=SHELLS, help="your shell")


def run(arguments: Arguments) -> int:
    """Prints the shell code."""
    say(shellcode(["looptop"], shell=arguments.shell).rstrip())
    return 0


def typed_words() -> list[str]:
    """The words on the shell's line, without the program's name."""
    line = os.environ.get("COMP_LINE", "")
    try:
        return shlex.split(line)[1:]
    except ValueError:  # a quote that is still open
        return line.split()[1:]


def print_completions(parser: argparse.ArgumentParser) -> None:
    """If the shell asked for completions, prints them and exits.

    Args:
        parser: The full parser; the typed command's subparser must already have its arguments.
    """
    for action in _actions(parser):
        completer = _COMPLETERS_BY_METAVAR.get(str(action.metavar)) or _COMPLETERS_BY_DEST.get(action.dest)
        if completer is not None:
            action.completer = completer  # type: ignore[attr-defined]  # argcomplete reads it
    argcomplete.autocomplete(parser, always_complete_options="long")


def _actions(parser: argparse.ArgumentParser) -> Iterable[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from _actions(subparser)


def _runs(**_: Any) -> list[str]:
    from looptop.engine.runs.folder import RunFolder

    return _printable(folder.id for folder in RunFolder.all())


def _models(**_: Any) -> list[str]:
    return ["bundled", *_runs()]


def _settings(**_: Any) -> list[str]:
    from looptop.engine import config as configuration

    return [f"{key}=" for key in configuration.keys(type(configuration.preset("tiny", _typed_kind())))]


def _presets(**_: Any) -> list[str]:
    from looptop.engine import config as configuration

    return configuration.presets(_typed_kind())


class _Typed(Protocol):
    """The arguments that were typed before the cursor, as argcomplete passes them on."""

    run: str


def _metrics(parsed_args: _Typed, **_: Any) -> list[str]:
    from looptop.engine.journal.reader import Journal
    from looptop.engine.runs.folder import RunFolder

    return _printable(Journal(RunFolder.find(parsed_args.run).db).names())


def _typed_kind() -> str:
    """The kind of run that was typed; argcomplete's `parsed_args` lack it while an option's value is completed."""
    from looptop.engine import config as configuration

    return next((word for word in typed_words() if word in configuration.KINDS), "vqa")


def _printable(names: Iterable[str]) -> list[str]:
    """Drops names that contain control characters, which could act on a terminal."""
    return [name for name in names if visible(name) == name]


def _ignoring_errors(completer: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """Returns no completions on any error, such as a damaged home or run; the command itself will report it."""

    def completions(**given: Any) -> list[str]:
        with contextlib.suppress(Exception):
            return completer(**given)
        return []

    return completions


_COMPLETERS_BY_METAVAR = {
    "RUN": _ignoring_errors(_runs),
    "MODEL": _ignoring_errors(_models),
    "KEY=VALUE": _ignoring_errors(_settings),
    "NAME": _ignoring_errors(_metrics),
}
_COMPLETERS_BY_DEST = {"model": _ignoring_errors(_models), "preset": _ignoring_errors(_presets)}
"""For arguments whose metavar has no completer."""
