"""`looptop reward`: changes a sample's reward by hand, leaves the sample out of the update, or rates it."""

from __future__ import annotations

import argparse
import math

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.batches import ppo_run
from looptop.engine.cli.control import wait_and_print_reply
from looptop.engine.errors import LooptopError
from looptop.engine.ppo.judgements import record_judgement, warning
from looptop.engine.ppo.records import JudgementKind
from looptop.engine.text import visible

EXAMPLES = """\
  looptop step ppo-3 --to compared; looptop reward ppo-3 12 0 1.5      sets sample 0's reward
  looptop reward ppo-3 12 1 --leave-out
  looptop reward ppo-3 12 2 +1 --rate       kept for `looptop train reward --data ppo-3`
  looptop reward ppo-3 12 0 none            the run's own reward again
  looptop reward ppo-3 12 1 none --leave-out    the sample takes part again
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    run: str
    batch: int
    sample: int
    value: str | None
    leave_out: bool
    rate: bool
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("run", metavar="RUN", help="a PPO run, such as ppo-3")
    parser.add_argument("batch", metavar="BATCH", type=int, help="the batch's number")
    parser.add_argument("sample", metavar="SAMPLE", type=int, help="the sample's number in it, from 0")
    parser.add_argument("value", metavar="VALUE", nargs="?", help="a number, or `none` to undo")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--leave-out", action="store_true", help="leave the sample out of the update")
    how.add_argument("--rate", action="store_true", help="VALUE is a rating, kept for a reward model")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Sends the judgement to the run; if the run is not live, stores it."""
    folder, _ = ppo_run(arguments.run)
    kind: JudgementKind = "leave_out" if arguments.leave_out else "rating" if arguments.rate else "reward"
    value = _value(arguments.value, kind)
    control = record_judgement(folder, arguments.batch, arguments.sample, kind, value, by="cli")
    far = warning(folder, arguments.batch, kind, value) if control is None else ""
    done = f"batch {arguments.batch}, sample {arguments.sample}: {far}kept"
    return wait_and_print_reply(folder, control, kind, done, as_json=arguments.json)


def _value(text: str | None, kind: JudgementKind) -> float | None:
    if text is not None and text.lower() == "none":
        return None
    if kind == "leave_out":
        if text is None:
            return 1.0
        raise LooptopError("--leave-out takes no number; `none --leave-out` undoes it")
    if text is None:
        leave_out = ", or --leave-out" if kind == "reward" else ""
        raise LooptopError(f"VALUE is missing: give a number, `none` to undo{leave_out}")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise LooptopError(f"'{visible(text)}' is not a number; give one, or `none` to undo")
    return value
