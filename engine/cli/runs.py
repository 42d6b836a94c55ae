"""`looptop runs`: lists all runs or those that match a filter, the newest first or in another order."""

from __future__ import annotations

import argparse
import math
from typing import Any

import msgspec

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.output import cut, duration, moment, number, percent, say, say_json, table
from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunState, RunSummary, state_text
from looptop.engine.runs import run_filter
from looptop.engine.runs.folder import home
from looptop.engine.runs.listing import COLUMNS, Summaries, headline, measured_model, ordered, progress, took
from looptop.engine.text import counted, visible

EXAMPLES = """\
  looptop runs
  looptop runs kind:vqa state:running,paused
  looptop runs 'eval_loss<0.5' 'took>10m' -note:bad --sort eval_loss
  looptop runs --json

All words of a filter must hold. A word is KEY:VALUE (kind, state, id, title,
note, device, preset, host), NAME<NUMBER (a metric, step, progress, took, age,
alerts), or plain text. `and`, `or`, `not` and parentheses combine words:
  looptop runs 'kind:ppo and not (state:failed or loss>2)'
A minus also means `not`; before plain text it needs -- in front:
  looptop runs -- -bad
"""

TAKES_FILTERS = True

TITLES = {"run": "id", "done": "progress", "figure": "headline"}
"""The columns whose titles in the printed table are other words."""
_MAX_LABEL = 40
"""Characters of a title or note that are printed."""


class Arguments(CommonArguments):
    """The arguments of the command."""

    filter: list[str]
    sort: str
    reverse: bool
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument(
        "filter",
        metavar="FILTER",
        nargs="*",
        help="which runs: words, KEY:VALUE and NAME<NUMBER, with and, or, not and parentheses",
    )
    parser.add_argument("--sort", metavar="COLUMN", default="", help=f"{', '.join(COLUMNS)}, or a metric")
    parser.add_argument("--reverse", action="store_true", help="reverse the order")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Prints the runs."""
    wanted = run_filter.parse(" ".join(arguments.filter))
    everything = Summaries().all()
    run_filter.check_metrics(wanted, everything)
    summaries = [summary for summary in everything if wanted.holds(summary)]
    if by := TITLES.get(arguments.sort, arguments.sort):
        if by not in COLUMNS:
            try:
                run_filter.refuse_unknown_metric(by, everything, hints=COLUMNS)
            except LooptopError as error:
                raise LooptopError(f"runs cannot be sorted by '{visible(arguments.sort)}': {error}") from None
        summaries = ordered(summaries, by, reverse=arguments.reverse)
    elif arguments.reverse:
        summaries.reverse()
    if arguments.json:
        say_json({"runs": [{**msgspec.to_builtins(summary), "figure": _figure(summary)} for summary in summaries]})
        return 0
    if not everything:
        say(f"no runs yet in {visible(home())}; start one with `looptop train vqa`")
        return 0
    if not summaries:
        say(f"the filter matches none of the {counted(len(everything), 'run')}")
        return 0
    header = ["run", "state", "step", "done", "figure", "", "took", "created", "note"]
    for line in table(header, [_row(summary) for summary in summaries], right=["step", "done", "figure", "took"]):
        say(line)
    return 0


def _figure(summary: RunSummary) -> dict[str, Any]:
    """The figure of the list, and which model it is of: `last` or `best`, and its step; null if of none."""
    name, value = headline(summary)
    model = measured_model(name, summary)
    return {
        "metric": name or None,
        "value": value,
        "checkpoint": None if model is None else model.which,
        "step": None if model is None else model.step,
    }


def _row(summary: RunSummary) -> list[str]:
    total = f"/{summary.total_steps}" if summary.total_steps else ""
    name, value = headline(summary)
    value = math.nan if value is None else value
    model = measured_model(name, summary)
    done, seconds = progress(summary), took(summary)
    label = cut(" ".join((summary.title or summary.note).split()), _MAX_LABEL)
    if summary.state is RunState.QUEUED:
        label = summary.reason + (f"; {label}" if label else "")
    if summary.trouble:
        label = f"! {summary.trouble}" + (f"; {label}" if label else "")
    return [
        visible(summary.id),
        visible(
            state_text(summary.state, summary.alerts)
            + (f" on {summary.host}, by its heartbeat" if summary.is_live_elsewhere else "")
        ),
        "-" if summary.step is None else f"{summary.step}{total}",
        "-" if done is None else percent(done, 0),
        "-" if not name else percent(value) if name.endswith("accuracy") else number(value),
        visible(name) + ("" if model is None else f", {model}"),
        "-" if seconds is None else duration(seconds),
        moment(summary.created),
        visible(label),
    ]
