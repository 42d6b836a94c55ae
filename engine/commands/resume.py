"""`looptop resume`: goes on with a run that is not live, from its newest whole checkpoint, and watches it."""

from __future__ import annotations

import argparse
import sys

from looptop.engine.commands.output import add_json, add_trust, note
from looptop.engine.commands.progress import progress_on
from looptop.engine.commands.watch import Interrupts, show_outcome, watch
from looptop.engine.runs.host import relaunch

EXAMPLES = """\
  looptop resume vqa-3
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("run", metavar="RUN", help="a run that is not live, such as vqa-3")
    add_trust(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Resumes."""
    interrupts = Interrupts()
    with interrupts.taken():
        folder = relaunch(arguments.run, trust=arguments.trust)
        note(f"{folder.id}  resumed")
        outcome = watch(folder, arguments.began, interrupts, progress_on(sys.stderr))
    return show_outcome(outcome, as_json=arguments.json)
