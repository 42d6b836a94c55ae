"""`looptop import`: makes runs of what TensorBoard or W&B wrote."""

from __future__ import annotations

import argparse

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.output import note, say, say_json
from looptop.engine.errors import LooptopError
from looptop.engine.interchange.importing import import_folder
from looptop.engine.paths import path_of
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

EXAMPLES = """\
  looptop import runs/                          each folder of event files below it becomes a run
  looptop import wandb/                         each offline run in it

The exit code is 1 where something could not be read: it is named, and the rest is imported.
"""


class Arguments(CommonArguments):
    """What was typed."""

    folder: str
    again: bool
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("folder", metavar="FOLDER", help="with *tfevents* or *.wandb files in it or below it")
    parser.add_argument("--again", action="store_true", help="also what was imported before")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Imports."""
    made: list[RunFolder] = []
    words: list[str] = []

    def on_run(folder: RunFolder) -> None:
        made.append(folder)
        if not arguments.json:
            summary = folder.summary()
            say(f"{visible(folder.id)}  {visible(summary.title)}: {len(summary.metrics)} metrics, step {summary.step}")

    def on_word(word: str) -> None:
        words.append(word)
        note(f"looptop: {visible(word)}")

    complete = import_folder(path_of(arguments.folder), on_run, on_word, again=arguments.again)
    if arguments.json:
        say_json({"runs": [folder.id for folder in made], "left_out": words, "complete": complete})
    elif not made and not words:
        raise LooptopError("nothing was imported")
    return 0 if complete else 1
