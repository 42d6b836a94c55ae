"""`looptop rename`, `note`, `notify`: sets what a person attaches to a run: a title, a note, a notify command."""

from __future__ import annotations

import argparse

import msgspec

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.output import say, say_json
from looptop.engine.runs.about import About, load_about, write_about
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.notify import command_for
from looptop.engine.text import visible

EXAMPLES = {
    "rename": """\
  looptop rename vqa-3 "wider decoder"
  looptop rename vqa-3 ""                       removes the title
""",
    "note": """\
  looptop note vqa-3 "forgot to shuffle"
  looptop note vqa-3 ""                         removes the note
""",
    "notify": """\
  looptop notify vqa-3 'mail -s "$LOOPTOP_RUN $LOOPTOP_EVENT" me@example.org < /dev/null'
  looptop notify vqa-3                          prints the command

The command starts when the run ends, fails, hits a breakpoint or raises an alert, with LOOPTOP_RUN, LOOPTOP_TITLE,
LOOPTOP_EVENT (finished, stopped, failed, breakpoint, alert), LOOPTOP_REASON and LOOPTOP_FOLDER in its environment.
For all runs: notify = "COMMAND" in settings.toml in looptop's home.
""",
}

_FIELD_OF_COMMAND = {"rename": "title", "note": "note", "notify": "notify"}


class Arguments(CommonArguments):
    """The arguments of the command."""

    run: str
    text: str | None
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("run", metavar="RUN", help="a run, such as vqa-3, live or not")
    parser.add_argument(
        "text",
        metavar="TEXT",
        nargs="?",
        help="the title, the note or the command; without it, the present one is printed",
    )
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Sets the text and prints it; without a text, only prints."""
    folder = RunFolder.find(arguments.run)
    key = _FIELD_OF_COMMAND[arguments.command]
    text = arguments.text
    about = load_about(folder.path) if text is None else write_about(folder.path, **{key: text})
    if arguments.json:
        say_json({"run": folder.id, **msgspec.to_builtins(about)})
    else:
        say(f"{folder.id}  {key}: {visible(_text(folder, about, key), keep_lines=True) or '-'}")
    return 0


def _text(folder: RunFolder, about: About, key: str) -> str:
    return command_for(folder.path) if key == "notify" else str(getattr(about, key))
