"""`looptop tokens`: lists the figures that PPO has for each token of one response."""

from __future__ import annotations

import argparse
import math

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.batches import ppo_run
from looptop.engine.cli.output import number, say, say_json, table
from looptop.engine.errors import LooptopError
from looptop.engine.text import visible

EXAMPLES = """\
  looptop tokens ppo-3 12 0
  looptop tokens ppo-3 12 0 --json
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    run: str
    batch: int
    sample: int
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("run", metavar="RUN", help="a PPO run, such as ppo-3")
    parser.add_argument("batch", metavar="BATCH", type=int, help="the batch's number")
    parser.add_argument("sample", metavar="SAMPLE", type=int, help="the sample's number in it, from 0")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Prints the tokens."""
    folder, journal = ppo_run(arguments.run)
    sample, tokens = (
        journal.sample(arguments.batch, arguments.sample),
        journal.tokens(arguments.batch, arguments.sample),
    )
    if sample is None:
        raise LooptopError(f"{folder.id} has no sample {arguments.sample} of a batch {arguments.batch}")
    if tokens is None:
        raise LooptopError(f"batch {arguments.batch} of {folder.id} has no figures for its tokens yet")
    if arguments.json:
        listed = [
            {
                "id": token_id,
                "text": text,
                "counts": counts,
                **{name: values[index] for name, values in tokens.columns.items()},
            }
            for index, (token_id, text, counts) in enumerate(zip(tokens.ids, tokens.texts, tokens.counts, strict=True))
        ]
        say_json({"run": folder.id, "batch": arguments.batch, "sample": arguments.sample, "tokens": listed})
        return 0
    say(f"query: {visible(sample.query)}")
    say(f"response: {visible(sample.response)}")
    say()
    header = ["token", "text", "probability", *tokens.columns]
    rows = []
    for index, text in enumerate(tokens.texts):
        probability = math.exp(min(0.0, tokens.columns["logprob"][index]))
        figures = [number(values[index]) for values in tokens.columns.values()]
        rows.append([str(index), visible(text), number(probability), *figures])
    for line in table(header, rows, right=["token", *header[2:]]):
        say(line)
    return 0
