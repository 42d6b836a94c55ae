"""`looptop batches`: lists the batches of a PPO run, one line each."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.output import number, percent, say, say_json, table
from looptop.engine.errors import LooptopError
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.records import BatchRecord
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

EXAMPLES = """\
  looptop batches ppo-3                 the last 20
  looptop batches ppo-3 --first 1 --last 100
  looptop batches ppo-3 --json          all figures
"""

DEFAULT_COUNT = 20

COLUMNS = {
    "reward": "env/reward_mean",
    "kl": "objective/kl",
    "clipped": "ppo/policy/clipfrac",
    "explained": "ppo/val/explained_centred",
    "entropy": "ppo/policy/entropy",
    "length": "env/length",
    "seconds": "time/batch",
}
"""The columns of the table, and the metric that each shows."""


class Arguments(CommonArguments):
    """The arguments of the command."""

    run: str
    first: int | None
    last: int | None
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("run", metavar="RUN", help="a PPO run, such as ppo-3")
    parser.add_argument(
        "--first", type=int, metavar="N", help=f"the first batch (default: number {DEFAULT_COUNT} from the end)"
    )
    parser.add_argument("--last", type=int, metavar="N", help="the last batch (default: the newest)")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Prints the batches."""
    folder, journal = ppo_run(arguments.run)
    _, newest, _ = journal.batch_span()
    last = newest if arguments.last is None else arguments.last
    first = max(1, last - DEFAULT_COUNT + 1) if arguments.first is None else arguments.first
    batches = journal.batches(first, last)
    if arguments.json:
        figures = journal.figures(journal.names(), first, last)
        listed = [_json_record(batch, figures.get(batch.step, {})) for batch in batches]
        say_json({"run": folder.id, "batches": listed})
        return 0
    if not batches:
        say(f"{folder.id} has no batch from {first} to {last}")
        return 0
    for line in batch_table(journal, first, last):
        say(line)
    return 0


def batch_table(journal: PpoJournal, first: int, last: int) -> Iterator[str]:
    """The lines of a table of batches, both ends included."""
    figures = journal.figures(list(COLUMNS.values()), first, last)
    rows = [_row(batch, figures.get(batch.step, {})) for batch in journal.batches(first, last)]
    return table(["batch", "stage", *COLUMNS, "marks"], rows, right=["batch", *COLUMNS])


def ppo_run(name: str) -> tuple[RunFolder, PpoJournal]:
    """A PPO run and its journal.

    Raises:
        LooptopError: There is no such run, or it is not a PPO run.
    """
    folder = RunFolder.find(name)
    if folder.settings().get("kind") != "ppo":
        raise LooptopError(f"{folder.id} is not a PPO run; its kind is {folder.settings().get('kind')}")
    return folder, PpoJournal(folder.db)


def _row(batch: BatchRecord, figures: Mapping[str, float | None]) -> list[str]:
    cells = []
    for column, metric in COLUMNS.items():
        value = figures.get(metric)
        cells.append(percent(value) if column == "clipped" else number(value))
    return [str(batch.step), visible(batch.stage), *cells, visible(_marks(batch))]


def _json_record(batch: BatchRecord, figures: Mapping[str, float | None]) -> dict[str, object]:
    return {
        "batch": batch.step,
        "stage": batch.stage,
        "time": batch.time,
        "samples": batch.samples,
        "seconds": batch.seconds,
        "marks": [{"kind": mark.kind, "text": mark.text, "since": mark.since} for mark in batch.marks],
        "figures": dict(figures),
    }


def _marks(batch: BatchRecord) -> str:
    """The kinds of the batch's marks; one that began earlier is in parentheses, with the batch where it began."""
    parts = [mark.kind if mark.begins(batch.step) else f"({mark.kind} since {mark.since})" for mark in batch.marks]
    return " ".join(parts)
