"""`looptop samples`: lists the samples of one PPO batch."""

from __future__ import annotations

import argparse
import math
from typing import Any

import msgspec

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.batches import ppo_run
from looptop.engine.cli.output import number, say, say_json, table
from looptop.engine.errors import LooptopError
from looptop.engine.ppo.records import Judgement, SampleRecord
from looptop.engine.text import visible

EXAMPLES = """\
  looptop samples ppo-3 12
  looptop samples ppo-3 12 --sort kl        the largest KL first
  looptop samples ppo-3 12 --json
"""

FIGURES = ("reward", "kl", "advantage", "entropy", "ratio", "length")


class Arguments(CommonArguments):
    """The arguments of the command."""

    run: str
    batch: int
    sort: str | None
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("run", metavar="RUN", help="a PPO run, such as ppo-3")
    parser.add_argument("batch", metavar="BATCH", type=int, help="the batch's number")
    parser.add_argument(
        "--sort", metavar="FIGURE", help="sort by this, the largest first: reward, kl, ..., or a score's name"
    )
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Prints the samples."""
    folder, journal = ppo_run(arguments.run)
    samples = journal.samples(arguments.batch)
    if not samples:
        first, last, count = journal.batch_span()
        span = f"it has {first} to {last}" if count else "it has none yet"
        raise LooptopError(f"{folder.id} has no batch {arguments.batch}; {span}")
    judgements: dict[int, list[Judgement]] = {}
    for judgement in journal.judgements(arguments.batch):
        judgements.setdefault(judgement.row, []).append(judgement)
    if arguments.sort is not None:
        samples = _sorted(samples, arguments.sort)
    if arguments.json:
        listed = [_plain(sample, judgements.get(sample.row, [])) for sample in samples]
        say_json({"run": folder.id, "batch": arguments.batch, "samples": listed})
        return 0
    scores = list(samples[0].scores)
    header = ["sample", "reward", *map(visible, scores), "kl", "advantage", "length", "", "response", "judgement"]
    rows = [_row(sample, scores, judgements.get(sample.row, [])) for sample in samples]
    for line in table(header, rows, right=["sample", "reward", *map(visible, scores), "kl", "advantage", "length"]):
        say(line)
    return 0


def figure_of(sample: SampleRecord, name: str) -> float | None:
    """A sample's figure by its name: one of `FIGURES`, a score, or a figure of quality.

    Raises:
        LooptopError: The sample has no such figure; names those that it has.
    """
    if name in FIGURES:
        value = getattr(sample, name)
        return None if value is None else float(value)
    for figures in (sample.scores, sample.quality):
        if name in figures:
            return figures[name]
    known = ", ".join([*FIGURES, *sample.scores, *sample.quality])
    raise LooptopError(f"a sample has no figure '{visible(name)}'; it has: {visible(known)}")


def _sorted(samples: list[SampleRecord], name: str) -> list[SampleRecord]:
    def key(sample: SampleRecord) -> float:
        value = figure_of(sample, name)
        return math.inf if value is None or math.isnan(value) else -value

    return sorted(samples, key=key)


def _row(sample: SampleRecord, scores: list[str], judgements: list[Judgement]) -> list[str]:
    return [
        str(sample.row),
        number(sample.reward),
        *(number(sample.scores.get(name)) for name in scores),
        number(sample.kl),
        number(sample.advantage),
        str(sample.length),
        "" if sample.ended else "cut",
        visible(sample.response),
        ", ".join(f"{visible(each.kind).replace('_', ' ')} {number(each.value)}" for each in judgements),
    ]


def _plain(sample: SampleRecord, judgements: list[Judgement]) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(sample)
    return plain | {"judgements": {each.kind: each.value for each in judgements}}
