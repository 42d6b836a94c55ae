"""`looptop resume`: resumes a run that is not live from its newest complete checkpoint, and watches it; prolongs a
finished one.
"""

from __future__ import annotations

import argparse
import sys

from looptop.engine.cli.arguments import CommonArguments, add_json, add_trust
from looptop.engine.cli.batches import ppo_run
from looptop.engine.cli.output import note
from looptop.engine.cli.progress import progress_on
from looptop.engine.cli.watch import Interrupts, show_outcome, watch
from looptop.engine.ppo.judgements import drop_edits
from looptop.engine.startup.effects import settings_without_effect
from looptop.engine.startup.host import relaunch
from looptop.engine.text import counted

EXAMPLES = """\
  looptop resume vqa-3
  looptop resume vqa-3 --set num_train_epochs=20       a finished run goes on for more epochs
  looptop resume ppo-3 --drop-edits     undo your changes to the batch that is made again
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    run: str
    settings: list[str]
    drop_edits: bool
    trust: bool
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("run", metavar="RUN", help="a run that is not live, such as vqa-3")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="KEY=VALUE",
        help="change one setting from here on: num_train_epochs, max_steps, learning_rate, eval_steps and others that"
        " do not affect the steps already made; may be given several times",
    )
    parser.add_argument(
        "--drop-edits",
        action="store_true",
        help="for a PPO run: undo what you changed by hand in the last batch, which is made again",
    )
    add_trust(parser)
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Resumes the run and watches it."""
    if arguments.drop_edits:
        folder, _ = ppo_run(arguments.run)
        step, count = drop_edits(folder)
        note(f"{folder.id}  {counted(count, 'edit')} of batch {step} dropped")
    interrupts = Interrupts()
    with interrupts.counted():
        folder = relaunch(arguments.run, trust=arguments.trust, settings=arguments.settings)
        note(f"{folder.id}  resumed")
        for sentence in settings_without_effect(folder.config()).values():
            note(f"{folder.id}  {sentence}")
        outcome = watch(folder, arguments.began, interrupts, progress_on(sys.stderr))
    return show_outcome(outcome, as_json=arguments.json)
