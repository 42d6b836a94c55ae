"""`looptop rename`, `note`, `notify`: what a person says of a run, and whom it tells how it goes."""

from __future__ import annotations

import argparse

import msgspec

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.output import say, say_json
from looptop.engine.runs.about import About, load_about, write_about
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.notify import command_for
from looptop.engine.text import visible

EXAMPLES = """\
  looptop rename vqa-3 "wider decoder"          its title; "" takes it away
  looptop note vqa-3 "forgot to shuffle"        its note; "" takes it away
  looptop notify vqa-3 'mail -s "$LOOPTOP_RUN $LOOPTOP_EVENT" me@example.org < /dev/null'
  looptop notify vqa-3                          what it is

The command is started when the run ends, fails, hits a breakpoint or raises an alert, with LOOPTOP_RUN, LOOPTOP_TITLE,
LOOPTOP_EVENT (finished, stopped, failed, breakpoint, alert), LOOPTOP_REASON and LOOPTOP_FOLDER in its environment.
For all runs: notify = "COMMAND" in settings.toml in looptop's home.
"""

_PROPERTY = {"rename": "title", "note": "note", "notify": "notify"}


class Arguments(CommonArguments):
    """What was typed."""

    run: str
    text: str | None
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("run", metavar="RUN", help="a run, such as vqa-3, live or not")
    parser.add_argument("text", metavar="TEXT", nargs="?", help="what to say; without it, what was said is printed")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Says it, or prints what was said."""
    folder = RunFolder.find(arguments.run)
    key = _PROPERTY[arguments.command]
    text = arguments.text
    about = load_about(folder.path) if text is None else write_about(folder.path, **{key: text})
    if arguments.json:
        say_json({"run": folder.id, **msgspec.to_builtins(about)})
    else:
        say(f"{folder.id}  {key}: {visible(_said(folder, about, key), keep_lines=True) or '-'}")
    return 0


def _said(folder: RunFolder, about: About, key: str) -> str:
    return command_for(folder.path) if key == "notify" else str(getattr(about, key))
