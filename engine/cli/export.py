"""`looptop export`: writes a run's metrics, events and other tables as files for other programs."""

from __future__ import annotations

import argparse
import contextlib
import sys

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.output import quiet_libraries, say, say_json
from looptop.engine.cli.progress import Status, progress_on
from looptop.engine.errors import LooptopError
from looptop.engine.interchange.export import FORMATS, export
from looptop.engine.paths import path_of
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import counted, visible

EXAMPLES = """\
  looptop export vqa-3 --to csv                 a folder vqa-3-csv with a file for each table
  looptop export vqa-3 --to parquet --out tables
  looptop export vqa-3 --to jsonl --tables curated_questions --out better; looptop train vqa --data better
  looptop export ppo-3 --to csv --tables samples,tokens --batches 100:120
  looptop export vqa-3 --to tensorboard; tensorboard --logdir vqa-3-tensorboard
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    run: str
    to: str
    out: str | None
    tables: str
    batches: str | None
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("run", metavar="RUN", help="a run, such as vqa-3, live or not")
    parser.add_argument("--to", required=True, choices=FORMATS, help="the files' format")
    parser.add_argument("--out", metavar="FOLDER", help="the folder to make (default: RUN-FORMAT)")
    parser.add_argument(
        "--tables",
        metavar="NAMES",
        default="",
        help="only these tables, separated by commas: metrics, events, answers, accuracy_by_type, confusion,"
        " training_questions, question_losses, curated_questions, completions, batches, samples, tokens",
    )
    parser.add_argument(
        "--batches", metavar="FIRST:LAST", help="for a PPO run: only the batches, samples and tokens of these batches"
    )
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Writes the files and prints their names."""
    folder = RunFolder.find(arguments.run)
    out = path_of(arguments.out or f"{folder.file_name}-{arguments.to}")
    only = [name.strip() for name in arguments.tables.split(",") if name.strip()]
    batches = _span(arguments.batches) if arguments.batches is not None else None
    with quiet_libraries(), contextlib.closing(progress_on(sys.stderr)) as progress:

        def show(table: str, rows: int, done: float) -> None:
            progress.show(Status(folder.id, "", done, [f"writing {table}", counted(rows, "row")]))

        files = export(folder, arguments.to, out, only=only, batches=batches, on_part=show)
    if arguments.json:
        say_json({"run": folder.id, "files": [str(file) for file in files]})
        return 0
    for file in files:
        say(f"{visible(file)}  {counted(file.stat().st_size, 'byte')}")
    return 0


def _span(text: str) -> tuple[int, int]:
    """The first and the last batch of `FIRST:LAST`; one number is both."""
    first, colon, last = text.partition(":")
    try:
        span = (int(first), int(last if colon else first))
    except ValueError:
        span = (1, 0)
    if not 0 <= span[0] <= span[1]:
        raise LooptopError(f"--batches is '{visible(text)}'; write the first and the last, for example 100:120")
    return span
