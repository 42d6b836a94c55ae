"""`looptop export`: a run's metrics, events and what else it journalled, as files of other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from looptop.engine.commands.output import add_json, quiet_libraries, say, say_json
from looptop.engine.interchange.export import NAMES, export
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible

EXAMPLES = """\
  looptop export vqa-3 --to csv                 vqa-3-csv/metrics.csv, events.csv, answers.csv
  looptop export vqa-3 --to parquet --out tables
  looptop export vqa-3 --to tensorboard; tensorboard --logdir vqa-3-tensorboard
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("run", metavar="RUN", help="a run, such as vqa-3, live or not")
    parser.add_argument("--to", required=True, choices=NAMES, help="the files' format")
    parser.add_argument("--out", metavar="FOLDER", help="the folder to make (default: RUN-FORMAT)")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Exports."""
    folder = RunFolder.find(arguments.run)
    out = Path(arguments.out or f"{folder.file_name}-{arguments.to}").expanduser()
    with quiet_libraries():
        files = export(folder, arguments.to, out)
    if arguments.json:
        say_json({"run": folder.id, "files": [str(file) for file in files]})
        return 0
    for file in files:
        say(f"{visible(file)}  {file.stat().st_size:,} bytes")
    return 0
