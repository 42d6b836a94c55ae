"""The `looptop` command: runs the subcommand that was typed and reports errors, each in one sentence.

A subcommand is a module of this package with `add_arguments(parser)`, `run(arguments)` and `EXAMPLES` (by command, if
it has several with examples of their own). Only the one that was typed is imported, and torch only when it is needed,
so that `looptop runs`, every help text and the app start quickly.

Exit codes: 0 done, 1 a run failed, 2 an error that a person can correct, 130 interrupted with ctrl-C.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import itertools
import os
import re
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from looptop.engine.cli.arguments import CommonArguments, OpenApp
from looptop.engine.errors import LooptopError
from looptop.engine.home import READ_ONLY
from looptop.engine.text import visible

READ_ONLY_OPTION = "--readonly"

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

MEMORY_ADVICE = "use a smaller model or another device (--device), or close other programs"
"""What a person can do when a command has run out of memory."""

NO_TERMINAL = (
    "looptop: the app needs a terminal on stdin and stdout; without one use `looptop demo`, "
    "`looptop ask IMAGE QUESTION` or `looptop --help`"
)

NO_APP = "this is the engine without the app: name a command (see `looptop --help`), or run `looptop` to open the app"

CANNOT_DRAW = (
    "this terminal cannot show the app (TERM is not set, dumb or not known here); set TERM, for example to"
    " xterm-256color, or use `looptop runs`, `looptop show RUN`, `looptop ask IMAGE QUESTION` or `looptop --help`"
)

EPILOG = """\
examples:
  looptop                                   open the app
  looptop demo                              ask, train, ask again, in about two minutes
  looptop ask photo.png "what shape is it?"
  looptop train vqa                         train the tiny preset on the easy-VQA benchmark
  looptop runs                              all runs; then: looptop show vqa-1

Runs are kept in $LOOPTOP_HOME, or in the platform's folder for user data.
"""


@dataclass(frozen=True)
class Command:
    """One subcommand."""

    module: str
    """Its module in this package."""
    help: str


GROUPS = {
    "ask": {
        "ask": Command("ask", "ask a model a question about an image"),
        "eval": Command("evaluate", "measure a model's accuracy"),
        "calibrate": Command("calibrate", "calibrate the confidence of a checkpoint or an older model"),
        "predict": Command("predict", "answer a file of questions and write the official results file"),
        "score": Command("score", "compute the official VQA accuracy of a results file"),
        "generate": Command("generate", "let a tuned language model respond to a text, or to a file of texts"),
    },
    "train": {
        "demo": Command("demo", "show the main tasks without a screen: ask, train briefly, ask again"),
        "train": Command("train", "start a training run and watch it"),
        "resume": Command("resume", "resume a run that was stopped, interrupted or failed; prolong a finished one"),
    },
    "watch": {
        "runs": Command("runs", "list all runs, or those that match a filter"),
        "attach": Command("attach", "open the app on a run, live or not"),
        "show": Command("show", "print everything about one run"),
        "metrics": Command("metrics", "list a run's metrics, or print the points of one"),
        "logs": Command("logs", "print a run's log"),
        "batches": Command("batches", "list the batches of a PPO run"),
        "samples": Command("samples", "list the samples of a PPO batch"),
        "tokens": Command("tokens", "list the tokens of a PPO sample's response"),
        "compare": Command("compare", "compare a PPO run's model before and after, on queries that it never saw"),
    },
    "drive": {
        "pause": Command("control", "pause a live run after its step"),
        "continue": Command("control", "continue a paused run"),
        "step": Command("step", "let a paused run make one step, or a PPO batch go to its next stage"),
        "checkpoint": Command("control", "make a live run write a checkpoint after its step"),
        "stop": Command("control", "stop a live run, with a checkpoint"),
        "reward": Command("reward", "change a PPO sample's reward by hand, leave it out, or rate it"),
        "curate": Command(
            "curate", "list a VQA run's hardest training questions, give them other answers, leave them out"
        ),
        "break": Command("breakpoints", "set, remove or list the conditions at which a PPO run is paused"),
    },
    "data": {
        "export": Command("export", "write a run's tables as CSV, JSON lines, Parquet or TensorBoard files"),
        "import": Command("importing", "import runs from a TensorBoard or W&B offline folder"),
    },
    "housekeeping": {
        "rename": Command("annotate", "give a run a title"),
        "note": Command("annotate", "keep a note with a run"),
        "notify": Command(
            "annotate", "set the command to start when a run ends, fails, raises an alert or hits a breakpoint"
        ),
        "delete": Command("delete", "delete runs with all their files; asks first"),
        "config": Command("config", "print a preset's whole configuration, as a starting point for --config"),
        "settings": Command("settings", "print the settings of the whole program, and what each does"),
        "doctor": Command("doctor", "report what this machine, terminal and home offer, and what may end a run"),
        "completion": Command("completion", "print the code that completes looptop's commands in your shell"),
    },
}
"""All commands, by what a person wants to do."""

COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}


_NEGATIVE_NUMBER = re.compile(r"-(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|-inf(inity)?|-nan", re.IGNORECASE)
_EXCLUDING_TERM = re.compile(r"-[^-\s][^\s]*?[:<>=!]")


class Parser(argparse.ArgumentParser):
    """An argument parser that reports an error in one sentence and names the help text."""

    takes_filters = False
    """Whether `-KEY:VALUE` and `-NAME<NUMBER` are words of a filter."""
    _intermixing = False
    """Whether `parse_known_intermixed_args` is running, which calls `parse_known_args` in turn."""

    def error(self, message: str) -> NoReturn:
        """Prints the sentence and exits with code 2."""
        self.exit(EXIT_ERROR, f"looptop: {visible(message)}; see `{self.prog} --help`\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Takes options and other words in any order: `break RUN --remove CONDITION` too.

        A command itself refuses what it does not know, so that the error names its own help.
        """
        if self._intermixing or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        self._intermixing = True
        try:
            parse = super().parse_known_args if "--" in (args or ()) else self.parse_known_intermixed_args
            known, unknown = parse(args, namespace)
        finally:
            self._intermixing = False
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown

    def _parse_optional(self, arg_string: str) -> Any:
        # argparse itself treats only words such as -1 and -1.5 as numbers, and -host:here as the option -h. No public
        # method changes that.
        if _NEGATIVE_NUMBER.fullmatch(arg_string) or (self.takes_filters and _EXCLUDING_TERM.match(arg_string)):
            return None
        return super()._parse_optional(arg_string)

    def print_help(self, file: Any = None) -> None:
        """Prints the help text; argparse's own method hides errors in writing it."""
        (file or sys.stdout).write(self.format_help())


class HelpText(argparse.HelpFormatter):
    """Wraps paragraphs and lists at the terminal's width. An example stays on one line, so that it can be copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines: list[str] = []
        for is_prose, group in itertools.groupby(text.splitlines(), lambda line: line[:1] not in ("", " ")):
            for line in [" ".join(group)] if is_prose else group:
                if line.startswith("  looptop ") or not line:
                    lines.append(line)
                else:
                    lines += textwrap.wrap(line, width, subsequent_indent="" if is_prose else " " * 14)
        return "\n".join(lines)


def main(argv: Sequence[str] | None = None, open_app: OpenApp | None = None) -> int:
    """Runs the command line.

    Args:
        argv: The words after `looptop`; None for the process's own arguments.
        open_app: Opens the app, on a run if one is given, and returns the exit code. None if only the engine was
            started (`python -m looptop.engine`).

    Returns:
        The exit code.
    """
    began = time.time()
    words = list(sys.argv[1:] if argv is None else argv)
    if sys.stdout is None:  # started with stdout closed
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # A terminal that cannot show a character is no reason to fail.
    try:
        try:
            if "_ARGCOMPLETE" in os.environ:
                return _print_completions()
            return _run(words, began, open_app)
        finally:  # also after a help text, which raises SystemExit
            sys.stdout.flush()
    except LooptopError as error:
        sys.stderr.write(f"looptop: {visible(error)}\n")
        return EXIT_ERROR
    except KeyboardInterrupt:
        sys.stderr.write("looptop: interrupted\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The program that reads the output, such as `head`, has exited.
        _discard_output()
        return 0
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise
        _discard_output()
        sys.stderr.write(f"looptop: cannot write the output: {error.strerror}\n")
        return EXIT_ERROR
    except (MemoryError, RuntimeError) as error:
        from looptop.engine.compute.out_of_memory import is_out_of_memory, out_of_memory_text

        if not is_out_of_memory(error):
            raise
        sentence = out_of_memory_text(error, f"in `looptop {_command_of(words) or ''}".rstrip() + "`")
        sys.stderr.write(f"looptop: {visible(sentence)}; {MEMORY_ADVICE}\n")
        return EXIT_ERROR


def _discard_output() -> None:
    """Redirects stdout to nowhere, so that Python's own flush at exit cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _command_of(words: Sequence[str]) -> str | None:
    """The first word that is not an option, if there is one."""
    return next((word for word in words if not word.startswith("-")), None)


def _run(words: list[str], began: float, open_app: OpenApp | None) -> int:
    if set(words) <= {READ_ONLY_OPTION}:
        if words:
            os.environ[READ_ONLY] = "1"
        if open_app is None:
            raise LooptopError(NO_APP)
        if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
            sys.stderr.write(NO_TERMINAL + "\n")
            return EXIT_ERROR
        from looptop.engine.machine.terminal import can_draw

        if not can_draw():
            sys.stderr.write(f"looptop: {CANNOT_DRAW}\n")
            return EXIT_ERROR
        return open_app(None)
    chosen = _command_of(words)
    if chosen is not None and chosen not in COMMANDS:
        near = difflib.get_close_matches(chosen, COMMANDS, n=1)
        hint = f"did you mean `looptop {near[0]}`?" if near else "see `looptop --help`"
        raise LooptopError(f"there is no command '{visible(chosen)}'; {hint}")
    module = import_module(f"looptop.engine.cli.{COMMANDS[chosen].module}") if chosen else None
    parser = _parser(chosen, module)
    arguments: CommonArguments = parser.parse_args(words, module.Arguments() if module else CommonArguments())
    if arguments.version:
        from importlib.metadata import version

        sys.stdout.write(f"looptop {version('looptop')}\n")
        return 0
    if module is None:
        parser.error("no command was named")
    if arguments.readonly:
        os.environ[READ_ONLY] = "1"
    arguments.began = began
    arguments.open_app = open_app
    code: int = module.run(arguments)
    return code


def _print_completions() -> int:
    """Prints the words that can come next, for the shell's completion (see `completion.py`)."""
    from looptop.engine.cli.completion import print_completions, typed_words

    chosen = next((word for word in typed_words() if word in COMMANDS), None)
    module = import_module(f"looptop.engine.cli.{COMMANDS[chosen].module}") if chosen else None
    print_completions(_parser(chosen, module, describes=True))
    return 0


def _parser(chosen: str | None, module: ModuleType | None, describes: bool = False) -> Parser:
    """The whole parser; only the chosen command's arguments are added.

    Args:
        chosen: The command.
        module: Its module.
        describes: Give argparse the commands' descriptions, which zsh and fish show. The help text has its own list.
    """
    parser = Parser(
        prog="looptop",
        description="Ask a visual-question-answering model, train it, tune a summariser by PPO, watch both.\n"
        "Without a command, the app opens.",
        epilog=_commands_text() + "\n" + EPILOG,
        formatter_class=HelpText,
    )
    parser.add_argument("--version", action="store_true", help="print looptop's version and exit")
    parser.add_argument(READ_ONLY_OPTION, action="store_true", help="read-only: change no run, write no file")
    subparsers = parser.add_subparsers(
        dest="command",
        metavar="COMMAND",
        help="one of the commands below; COMMAND --help explains it",
        parser_class=Parser,
    )
    for name, command in COMMANDS.items():
        listed: dict[str, Any] = {"help": command.help} if describes else {}
        subparser = subparsers.add_parser(
            name,
            description=command.help[0].upper() + command.help[1:] + ".",
            formatter_class=HelpText,
            **listed,
        )
        if name == chosen and module is not None:
            subparser.takes_filters = getattr(module, "TAKES_FILTERS", False)
            examples = module.EXAMPLES if isinstance(module.EXAMPLES, str) else module.EXAMPLES[name]
            subparser.epilog = f"examples:\n{examples}"
            module.add_arguments(subparser)
    return parser


def _commands_text() -> str:
    """All commands with their descriptions, group by group."""
    groups = (
        "\n".join([f"{title}:", *(f"  {name:11} {each.help}" for name, each in commands.items())])
        for title, commands in GROUPS.items()
    )
    return "\n\n".join(groups) + "\n"
