"""`looptop step`: lets a paused run make one step, or lets a PPO batch continue to its next stage."""

from __future__ import annotations

import argparse

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.control import wait_and_print_reply
from looptop.engine.ppo.records import STAGES
from looptop.engine.runs.control import send
from looptop.engine.runs.folder import RunFolder

EXAMPLES = """\
  looptop step vqa-3
  looptop step ppo-3                        one batch
  looptop step ppo-3 --to compared          the next time rewards and KL are known, before the update
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    run: str
    to: str
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("run", metavar="RUN", help="a live run, such as ppo-3")
    parser.add_argument(
        "--to",
        default="",
        metavar="STAGE",
        help=f"a stage of a PPO batch: {', '.join(STAGES)}, or `next` for whichever comes (default: one whole step)",
    )
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Sends the control and prints the run's reply."""
    folder = RunFolder.find(arguments.run)
    control = send(folder, "step", by="cli", to=arguments.to)
    return wait_and_print_reply(folder, control, "step", "", as_json=arguments.json)
