"""`looptop runs`: all runs, the newest first."""

from __future__ import annotations

import argparse

import msgspec

from looptop.engine.commands.output import add_json, moment, number, percent, say, say_json, table
from looptop.engine.runs.folder import RunFolder, home
from looptop.engine.runs.records import RunSummary
from looptop.engine.text import visible

EXAMPLES = """\
  looptop runs
  looptop runs --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Lists."""
    summaries = [folder.summary() for folder in RunFolder.all()]
    if arguments.json:
        say_json({"runs": [msgspec.to_builtins(summary) for summary in summaries]})
        return 0
    if not summaries:
        say(f"no runs yet in {visible(home())}; start one with `looptop train vqa`")
        return 0
    header = ["run", "state", "step", "loss", "validation loss", "accuracy", "preset", "created"]
    for line in table(header, [_row(summary) for summary in summaries], right=header[2:6]):
        say(line)
    return 0


def _row(summary: RunSummary) -> list[str]:
    total = f"/{summary.total_steps}" if summary.total_steps else ""
    return [
        visible(summary.id),
        str(summary.state.value),
        "-" if summary.step is None else f"{summary.step}{total}",
        number(summary.loss),
        number(summary.eval_loss),
        percent(summary.eval_accuracy),
        visible(summary.preset or "-"),
        moment(summary.created),
    ]
