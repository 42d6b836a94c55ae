"""`looptop train`: starts an engine process that trains, and watches it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from looptop.engine import config as configuration
from looptop.engine.commands.output import add_json, note, say, say_json
from looptop.engine.commands.progress import progress_on
from looptop.engine.commands.watch import Interrupts, show_outcome, watch
from looptop.engine.config import RunConfig
from looptop.engine.config.paths import anchored, refuse_missing
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.host import launch

EXAMPLES = """\
  looptop train vqa
  looptop train vqa --set fusion=tokens --set num_train_epochs=20
  looptop train vqa --data my_folder            images beside a CSV or JSONL of image,question,answer
  looptop train vqa --preset book --set data.annotations=A.json --set data.questions=Q.json --set data.images=DIR
  looptop config > mine.toml; looptop train vqa --config mine.toml
  looptop train ppo                              a tiny summariser learns from two reward models
  looptop train ppo --data articles.jsonl --set rewards.neutral.weight=1
  looptop train reward --data ppo-3              a reward model from what you rated in ppo-3

ctrl-C stops the run with a checkpoint, a second one at once. Closing the terminal leaves the run going.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("kind", choices=configuration.KINDS, help="what to train")
    whence = parser.add_mutually_exclusive_group()
    known = "; ".join(f"{kind}: {', '.join(configuration.presets(kind))}" for kind in configuration.KINDS)
    whence.add_argument("--preset", default="tiny", help=f"{known} (default: tiny)")
    whence.add_argument("--config", metavar="FILE", help="a TOML file; what it leaves out comes from its preset")
    parser.add_argument(
        "--data",
        metavar="SOURCE",
        help="vqa: easy-vqa, a folder, or vqa-v2 with --set data.annotations=…, data.questions=… and data.images=…;"
        " ppo and reward: newsroom, a CSV, JSONL or Parquet file, or a data set's name on the hub",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="KEY=VALUE",
        help="change one setting; may be given several times",
    )
    parser.add_argument("--detach", action="store_true", help="do not watch: say the run's id and leave")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Trains."""
    config = _chosen(arguments)
    interrupts = Interrupts()
    with interrupts.taken():
        folder = launch(config)
        if arguments.detach and not interrupts.count:
            return _leave(folder, as_json=arguments.json)
        note(f"{folder.id}  started")
        outcome = watch(folder, arguments.began, interrupts, progress_on(sys.stderr))
    return show_outcome(outcome, as_json=arguments.json)


def _chosen(arguments: argparse.Namespace) -> RunConfig:
    """The configuration that the arguments ask for."""
    if arguments.config is not None:
        config = configuration.load(Path(arguments.config), arguments.kind)
    else:
        config = configuration.preset(arguments.preset, arguments.kind)
    settings = list(arguments.settings)
    if arguments.data is not None:
        settings.insert(0, f"data.source={arguments.data}")
    config = anchored(configuration.override(config, settings))
    refuse_missing(config)
    return config


def _leave(folder: RunFolder, *, as_json: bool) -> int:
    if as_json:
        say_json({"run": folder.id, "state": folder.state().value, "accuracy": None, "loss": None, "seconds": None})
    else:
        say(f"{folder.id} trains on its own; see `looptop show {folder.id}`, or open the app with `looptop`")
    return 0
