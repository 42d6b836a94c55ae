"""`looptop attach`: opens the app on a run, live or not. Several people can watch one run at the same time."""

from __future__ import annotations

import argparse
import sys

from looptop.engine.cli.arguments import CommonArguments
from looptop.engine.errors import LooptopError
from looptop.engine.machine.terminal import can_draw
from looptop.engine.runs.folder import RunFolder

EXAMPLES = """\
  looptop attach vqa-3
  looptop attach vqa-3 --readonly               read-only: nothing that you press changes the run
  looptop attach /mnt/shared/runs/vqa-3         another machine's run, by its folder

The run is not affected when you leave the app (q, ctrl-C) or the terminal closes.
Without a terminal: looptop show RUN, looptop logs RUN -f, looptop metrics RUN.
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    run: str
    readonly: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("run", metavar="RUN", help="a run, such as vqa-3, or its folder")
    parser.add_argument(
        "--readonly",
        action="store_true",
        default=argparse.SUPPRESS,
        help="read-only: the app changes no run and writes no file",
    )


def run(arguments: Arguments) -> int:
    """Opens the app on the run, and returns its exit code. `--readonly` acts before: `main` tells the whole program."""
    folder = RunFolder.find(arguments.run)
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        raise LooptopError(
            f"attach needs a terminal on stdin and stdout; without one use `looptop show {folder.shell_name}`,"
            f" `looptop logs {folder.shell_name} -f` or `looptop metrics {folder.shell_name}`"
        )
    if not can_draw():
        raise LooptopError(
            "this terminal cannot show the app (TERM is not set, dumb or not known here); set TERM, for example to"
            f" xterm-256color, or use `looptop show {folder.shell_name}`, `looptop logs {folder.shell_name} -f` or"
            f" `looptop metrics {folder.shell_name}`"
        )
    if arguments.open_app is None:
        raise LooptopError("this is the engine without the app; `looptop attach` opens the app")
    code: int = arguments.open_app(folder)
    return code
