"""`looptop delete`: deletes runs with all their files; asks first."""

from __future__ import annotations

import argparse
import sys

from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.output import note, say, say_json
from looptop.engine.errors import LooptopError
from looptop.engine.runs.delete import delete, size_of
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

EXAMPLES = """\
  looptop delete vqa-3                  asks
  looptop delete vqa-3 vqa-4 --yes      does not ask
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    runs: list[str]
    yes: bool
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("runs", metavar="RUN", nargs="+", help="a run that is not live, such as vqa-3")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Asks, then deletes the runs one by one. If one cannot be deleted, those before it are gone all the same."""
    folders = [RunFolder.find(run_id) for run_id in dict.fromkeys(arguments.runs)]
    for folder in folders:
        if folder.is_live():
            raise LooptopError(f"{folder.id} is live; stop it first: looptop stop {folder.shell_name}")
    if not arguments.yes and not _confirmed(folders):
        note("nothing was deleted")
        return 0
    for folder in folders:
        delete(folder)
        if not arguments.json:
            say(f"{visible(folder.id)}  deleted")
    if arguments.json:
        say_json({"deleted": [folder.id for folder in folders]})
    return 0


def _confirmed(folders: list[RunFolder]) -> bool:
    if not (sys.stdin and sys.stdin.isatty()):
        raise LooptopError("delete asks for confirmation, which needs a terminal; --yes deletes without asking")
    for folder in folders:
        title = visible(folder.about().title)
        note(f"  {visible(folder.id)}  {size_of(folder) / 2**20:,.1f} MiB  {title}".rstrip())
    sys.stderr.write("delete them with their checkpoints, models, journals and logs? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
