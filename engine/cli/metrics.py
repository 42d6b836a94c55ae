"""`looptop metrics`: lists a run's metrics, or prints the points of one."""

from __future__ import annotations

import argparse
import difflib

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.output import number, say, say_json, table
from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Journal
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

EXAMPLES = """\
  looptop metrics vqa-3                 all names with their last values
  looptop metrics vqa-3 eval_loss       all points of one: step, value
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    run: str
    name: str | None
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("run", metavar="RUN", help="a run, such as vqa-3")
    parser.add_argument("name", metavar="NAME", nargs="?", help="a metric; without it, all metrics are listed")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Prints the metrics or the points."""
    folder = RunFolder.find(arguments.run)
    journal = Journal(folder.db)
    if arguments.name is None:
        return _print_latest(folder.id, journal, as_json=arguments.json)
    points = journal.values(arguments.name)
    if not points:
        names = journal.names()
        near = difflib.get_close_matches(arguments.name, names, n=1)
        hint = f"did you mean '{visible(near[0])}'?" if near else f"it has: {visible(', '.join(names)) or 'none yet'}"
        raise LooptopError(f"{folder.id} has no metric '{visible(arguments.name)}'; {hint}")
    if arguments.json:
        listed = [{"step": point.step, "value": point.value, "time": point.time} for point in points]
        say_json({"run": folder.id, "name": arguments.name, "points": listed})
        return 0
    for point in points:
        say(f"{point.step}\t{'nan' if point.value is None else repr(point.value)}")
    return 0


def _print_latest(run_id: str, journal: Journal, *, as_json: bool) -> int:
    latest = journal.latest()
    if as_json:
        values = {name: {"step": point.step, "value": point.value} for name, point in latest.items()}
        say_json({"run": run_id, "metrics": values})
        return 0
    if not latest:
        say(f"{run_id} has no metrics yet")
        return 0
    rows = [[visible(name), str(point.step), number(point.value)] for name, point in sorted(latest.items())]
    for line in table(["metric", "step", "value"], rows, right=["step", "value"]):
        say(line)
    return 0
