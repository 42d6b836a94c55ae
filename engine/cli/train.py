"""`looptop train`: starts a training run in an engine process of its own, and watches it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from looptop.engine import config as configuration
from looptop.engine.cli.arguments import CommonArguments, add_json, add_trust
from looptop.engine.cli.output import note, say, say_json
from looptop.engine.cli.progress import progress_on
from looptop.engine.cli.watch import Interrupts, show_outcome, watch
from looptop.engine.config import RunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.runs.about import About
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.engine.runs.listing import Summaries, last_in_queue
from looptop.engine.runs.trust import require_trust
from looptop.engine.startup.effects import refuse_settings_without_effect, settings_without_effect
from looptop.engine.startup.host import launch
from looptop.engine.text import join_text, visible

EXAMPLES = """\
  looptop train vqa
  looptop train vqa --set fusion=tokens --set num_train_epochs=20
  looptop train vqa --data my_folder            images beside a CSV, JSONL or JSON of image,question,answer
  looptop train vqa --preset book --set data.annotations=A.json --set data.questions=Q.json --set data.images=DIR
  looptop train --like vqa-3 --set seed=7       the same configuration, with changes
  looptop train vqa --detach --title "wider" --notify 'notify-send "$LOOPTOP_RUN $LOOPTOP_EVENT"'
  looptop train vqa --after vqa-4 --detach      queued: it trains once vqa-4 has ended
  looptop config > mine.toml; looptop train vqa --config mine.toml
  looptop train ppo                              a tiny summariser learns from two reward models
  looptop train ppo --data articles.jsonl --set rewards.neutral.weight=1
  looptop train reward --data ppo-3              a reward model from what you rated in ppo-3

ctrl-C stops the run after its step, with a checkpoint; a second one stops it at once.
The run continues when the terminal closes.
"""


class Arguments(CommonArguments):
    """The arguments of the command."""

    kind: str | None
    preset: str
    config: str | None
    like: str | None
    data: str | None
    settings: list[str]
    title: str | None
    note: str | None
    notify: str | None
    trust: bool
    after: str | None
    detach: bool
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("kind", nargs="?", choices=configuration.KINDS, help="what to train; not needed with --like")
    base = parser.add_mutually_exclusive_group()
    known = "; ".join(f"{kind}: {', '.join(configuration.presets(kind))}" for kind in configuration.KINDS)
    base.add_argument("--preset", default="tiny", help=f"{known} (default: tiny)")
    base.add_argument("--config", metavar="FILE", help="a TOML file; what it leaves out comes from its preset")
    base.add_argument("--like", metavar="RUN", help="a run whose configuration to start from")
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
    add_about(parser)
    add_trust(parser)
    parser.add_argument("--after", metavar="RUN", help="train once this run has ended, however it ends")
    parser.add_argument("--detach", action="store_true", help="do not watch: print the run's id and exit")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Starts the run and watches it."""
    config = _chosen(arguments)
    interrupts = Interrupts()
    with interrupts.counted():
        folder = launch(config, about=about_of(arguments), after=arguments.after, like=arguments.like)
        if arguments.after is None:
            _note_other_live_runs(folder)
        if arguments.detach and not interrupts.count:
            return _print_started(folder, as_json=arguments.json)
        note(f"{folder.id}  started" if arguments.after is None else f"{folder.id}  queued after {arguments.after}")
        outcome = watch(folder, arguments.began, interrupts, progress_on(sys.stderr))
    return show_outcome(outcome, as_json=arguments.json)


def add_about(parser: argparse.ArgumentParser) -> None:
    """Adds `--title`, `--note` and `--notify`."""
    parser.add_argument("--title", help="the run's title")
    parser.add_argument("--note", help="a note to keep with the run")
    parser.add_argument(
        "--notify",
        metavar="COMMAND",
        help="a command to start when the run ends, fails, raises an alert or hits a breakpoint",
    )


def about_of(arguments: Arguments) -> About | None:
    """The title, note and notify command of the new run; None if none was typed."""
    typed = (arguments.title, arguments.note, arguments.notify)
    return None if typed == (None, None, None) else About(*(text or "" for text in typed))


def _chosen(arguments: Arguments) -> RunConfig:
    """The configuration that the arguments choose."""
    like = None
    if arguments.kind is None and arguments.like is None:
        raise LooptopError("say what to train: `looptop train vqa`, or `looptop train --like RUN`")
    if arguments.like is not None:
        run = RunFolder.find(arguments.like)
        config = like = run.config()
        if arguments.kind not in (None, config.kind):
            raise LooptopError(f"{visible(arguments.like)} is a {config.kind} run, not a {arguments.kind} run")
        require_trust(run, trust=arguments.trust)
    elif arguments.config is not None:
        config = configuration.load(Path(arguments.config), arguments.kind)
    else:
        config = configuration.preset(arguments.preset, arguments.kind or "vqa")
    settings = list(arguments.settings)
    if arguments.data is not None:
        settings.insert(0, f"data.source={arguments.data}")
    config = configuration.override(config, settings)
    # A setting without effect is accepted if the run that --like names has it too.
    refuse_settings_without_effect(config, like)
    if like is not None:
        for sentence in settings_without_effect(config).values():
            note(f"looptop: {sentence}")
    return config


def _note_other_live_runs(new: RunFolder) -> None:
    """Says which runs share the machine with the new one."""
    live = [each for each in Summaries().all() if each.live and each.id != new.id]
    if live:
        names = join_text([each.id for each in live], "and")
        note(f"looptop: also live: {names}; --after {last_in_queue(live)} queues a run behind them")


def _print_started(folder: RunFolder, *, as_json: bool) -> int:
    if as_json:
        say_json(
            {
                "run": folder.id,
                "state": folder.state().value,
                "accuracy": None,
                "loss": None,
                "split": None,
                "checkpoint": None,
                "step": None,
                "alerts": 0,
                "seconds": None,
            }
        )
    else:
        does = "waits for its turn" if folder.state() is RunState.QUEUED else "trains"
        say(f"{folder.id} {does} in the background; see `looptop show {folder.id}` or `looptop attach {folder.id}`")
    return 0
