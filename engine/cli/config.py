"""`looptop config`: prints a preset's whole configuration as TOML or JSON."""

from __future__ import annotations

import argparse
import sys

from looptop.engine import config as configuration
from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.output import say_json

EXAMPLES = """\
  looptop config > mine.toml
  looptop config --preset book > mine.toml
  looptop train vqa --config mine.toml
  looptop config ppo > mine.toml
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    kind: str
    preset: str
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument(
        "kind", nargs="?", default="vqa", choices=configuration.KINDS, help="the kind of run (default: vqa)"
    )
    known = "; ".join(f"{kind}: {', '.join(configuration.presets(kind))}" for kind in configuration.KINDS)
    parser.add_argument("--preset", default="tiny", help=f"{known} (default: tiny)")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Prints the configuration."""
    chosen = configuration.preset(arguments.preset, arguments.kind)
    if arguments.json:
        say_json(configuration.to_dict(chosen))
    else:
        sys.stdout.write(configuration.dump(chosen))
    return 0
