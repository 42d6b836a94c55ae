"""`looptop import`: imports runs from files of TensorBoard or W&B."""

from __future__ import annotations

import argparse

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.output import note, say, say_json
from looptop.engine.errors import LooptopError
from looptop.engine.interchange.importing import import_folder
from looptop.engine.paths import path_of
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import counted, visible

EXAMPLES = """\
  looptop import runs/                          each folder of event files below it becomes a run
  looptop import wandb/                         each offline run in it becomes a run

If something cannot be read, it is named, the rest is imported, and the exit code is 1.
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    folder: str
    again: bool
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("folder", metavar="FOLDER", help="a folder with *tfevents* or *.wandb files in it or below it")
    parser.add_argument("--again", action="store_true", help="import again what was imported before")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Imports and prints the new runs."""
    made: list[RunFolder] = []
    messages: list[str] = []

    def on_run(folder: RunFolder) -> None:
        made.append(folder)
        if not arguments.json:
            summary = folder.summary()
            metrics = counted(len(summary.metrics), "metric")
            say(f"{visible(folder.id)}  {visible(summary.title)}: {metrics}, step {summary.step}")

    def on_message(message: str) -> None:
        messages.append(message)
        note(f"looptop: {visible(message)}")

    complete = import_folder(path_of(arguments.folder), on_run, on_message, again=arguments.again)
    if arguments.json:
        say_json({"runs": [folder.id for folder in made], "left_out": messages, "complete": complete})
    elif not made and not messages:
        raise LooptopError("nothing was imported")
    return 0 if complete else 1
