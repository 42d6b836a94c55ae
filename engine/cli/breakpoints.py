"""`looptop break`: sets, removes and lists the conditions at which a PPO run is paused."""

from __future__ import annotations

import argparse

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.batches import ppo_run
from looptop.engine.cli.control import wait_and_print_reply
from looptop.engine.cli.output import say, say_json
from looptop.engine.errors import LooptopError
from looptop.engine.ppo.breakpoints import set_breakpoint, set_for_later
from looptop.engine.text import visible

EXAMPLES = """\
  looptop break ppo-3                       lists the breakpoints
  looptop break ppo-3 'kl > 8'
  looptop break ppo-3 'reward.mean < 0 and any sample.kl > 20'
  looptop break ppo-3 nan
  looptop break ppo-3 'kl > 8' --remove
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    run: str
    condition: str | None
    remove: bool
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("run", metavar="RUN", help="a PPO run, such as ppo-3")
    parser.add_argument(
        "condition", metavar="CONDITION", nargs="?", help="in quotes; without it, the breakpoints are listed"
    )
    parser.add_argument("--remove", action="store_true", help="remove the breakpoint with this CONDITION")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Sets or removes the breakpoint, or lists all."""
    folder, journal = ppo_run(arguments.run)
    if arguments.condition is None:
        if arguments.remove:
            raise LooptopError("--remove needs the CONDITION of the breakpoint")
        conditions = journal.breakpoints()
        if arguments.json:
            say_json({"run": folder.id, "breakpoints": conditions})
        else:
            say("\n".join(visible(each) for each in conditions) or f"{folder.id} has no breakpoints")
        return 0
    control = set_breakpoint(folder, arguments.condition, by="cli", remove=arguments.remove)
    outcome = "is gone" if arguments.remove else set_for_later(folder) if control is None else ""
    kind = "unbreak" if arguments.remove else "break"
    return wait_and_print_reply(
        folder, control, kind, f"the breakpoint {visible(arguments.condition)} {outcome}", as_json=arguments.json
    )
