"""`looptop break`: conditions at which a PPO run is held."""

from __future__ import annotations

import argparse

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.batches import ppo_run
from looptop.engine.cli.control import settle
from looptop.engine.cli.output import say, say_json
from looptop.engine.errors import LooptopError
from looptop.engine.ppo.breakpoints import set_breakpoint, set_for_later
from looptop.engine.text import visible

EXAMPLES = """\
  looptop break ppo-3                       those that are set
  looptop break ppo-3 'kl > 8'
  looptop break ppo-3 'reward.mean < 0 and any sample.kl > 20'
  looptop break ppo-3 nan
  looptop break ppo-3 'kl > 8' --remove
"""


class Arguments(CommonArguments):
    """What was typed."""

    run: str
    condition: str | None
    remove: bool
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("run", metavar="RUN", help="a PPO run, such as ppo-3")
    parser.add_argument("condition", metavar="CONDITION", nargs="?", help="in quotes; without it, those set are listed")
    parser.add_argument("--remove", action="store_true", help="take the CONDITION back")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Sets, removes or lists."""
    folder, journal = ppo_run(arguments.run)
    if arguments.condition is None:
        if arguments.remove:
            raise LooptopError("--remove needs the CONDITION to take back")
        there = journal.breakpoints()
        if arguments.json:
            say_json({"run": folder.id, "breakpoints": there})
        else:
            say("\n".join(visible(each) for each in there) or f"{folder.id} has no breakpoints")
        return 0
    control = set_breakpoint(folder, arguments.condition, by="cli", remove=arguments.remove)
    said = "is gone" if arguments.remove else set_for_later(folder) if control is None else ""
    kind = "unbreak" if arguments.remove else "break"
    return settle(
        folder, control, kind, f"the breakpoint {visible(arguments.condition)} {said}", as_json=arguments.json
    )
