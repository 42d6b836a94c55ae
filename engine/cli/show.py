"""`looptop show`: prints an overview of one run: its state, main settings, results, last answers and events.

With `--json` it prints the whole configuration, all facts and all events, too.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import msgspec

from looptop.engine import config as configuration
from looptop.engine.cli.arguments import CommonArguments, add_json
from looptop.engine.cli.output import cut, duration, moment, number, percent, say, say_json, table
from looptop.engine.cli.watch import what_next
from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import AnswerSample, Event, RunState, RunSummary, state_text
from looptop.engine.runs.alerts import QUESTION_ONLY
from looptop.engine.runs.checkpoint import steps
from looptop.engine.runs.folder import TRAINED_ELSEWHERE, RunFolder
from looptop.engine.runs.listing import measured_model, took
from looptop.engine.runs.liveness import full_disk, liveness_text, why_interrupted
from looptop.engine.runs.progress import progress_of, progress_text
from looptop.engine.text import visible, visible_answer
from looptop.engine.times import local_time
from looptop.engine.vqa.breakdown import read_breakdowns

EXAMPLES = """\
  looptop show vqa-3
  looptop show vqa-3 --json
"""

MAX_EVENTS = 10
_MAX_CHARACTERS = 200
"""Characters of a question, an answer or a truth that are printed."""


class Arguments(CommonArguments):
    """The arguments of the command."""

    run: str
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments to the parser."""
    parser.add_argument("run", metavar="RUN", help="a run, such as vqa-3")
    add_json(parser)


def run(arguments: Arguments) -> int:
    """Prints the run."""
    folder = RunFolder.find(arguments.run)
    summary = folder.summary()
    journal = Journal(folder.db)
    if arguments.json:
        say_json(_as_json(folder, summary, journal))
        return 0
    title = f"  {visible(summary.title)}" if summary.title else ""
    reason = why_interrupted(folder) if summary.state is RunState.INTERRUPTED else summary.reason
    why = f": {visible(reason)}" if reason else ""
    say(f"{visible(folder.id)} {state_text(summary.state, summary.alerts)}{why}{title}")
    say(f"  {liveness_text(folder)}")
    if full := full_disk(folder.path):
        say(f"  ! {full}; make room: until then a live run keeps its metrics in memory")
    if summary.trouble:
        say(f"  ! {visible(summary.trouble)}")
    for line in visible(summary.note, keep_lines=True).splitlines():
        say(f"  | {line}")
    say()
    for name, value in _rows(folder, summary, journal):
        if value == "-" and summary.kind != "vqa":  # runs of other kinds do not have every fact
            continue
        say(f"  {name:17} {value}")
    _print_answers(journal.answer_samples())
    _print_alerts(events := [event for event in journal.events() if not event.superseded])
    _print_events(events)
    say()
    say(_next_commands(folder.shell_name, summary))
    return 0


def _as_json(folder: RunFolder, summary: RunSummary, journal: Journal) -> dict[str, Any]:
    return {
        **msgspec.to_builtins(summary),
        "path": str(folder.path),
        "config": _config(folder),
        "facts": journal.facts(),
        "metrics": {name: point.value for name, point in journal.latest().items()},
        "checkpoints": _checkpoints(folder),
        "evaluations": [
            {"step": step, **msgspec.to_builtins(breakdown)} for step, breakdown in read_breakdowns(journal)
        ],
        "answers": [msgspec.to_builtins(sample) for sample in journal.answer_samples()],
        "events": [msgspec.to_builtins(event) for event in journal.events()],
    }


def _rows(folder: RunFolder, summary: RunSummary, journal: Journal) -> list[tuple[str, str]]:
    """The printed table: the name and the value of each row."""
    facts = journal.facts()
    latest = {name: math.nan if point.value is None else point.value for name, point in journal.latest().items()}
    config = _config(folder)
    return [
        ("preset", visible(summary.preset or "-")),
        *_main_settings(summary.kind, config),
        ("device", " ".join(visible(facts[key]) for key in ("device", "precision") if key in facts) or "-"),
        ("parameters", _parameters(facts)),
        ("data holds", _split_sizes(facts)),
        *((("left out", _left_out(facts["left_out"])),) if facts.get("left_out") else ()),
        *_activity_rows(summary, facts),
        ("step", f"{'-' if summary.step is None else summary.step}/{summary.total_steps or '?'}"),
        *(
            (
                label,
                (percent(latest.get(name), 2) if is_share else number(latest.get(name)))
                + _measured_model_text(name, summary),
            )
            for label, name, is_share in _FIGURES.get(summary.kind, _FIGURES["vqa"])
        ),
        *_result_rows(summary),
        *(
            (("question only", percent(facts[QUESTION_ONLY], 2)),)
            if isinstance(facts.get(QUESTION_ONLY), float)
            else ()
        ),
        ("created", moment(summary.created)),
        ("took", _took(summary)),
        ("checkpoints", ", ".join(_checkpoints(folder)) or "-"),
        ("folder", visible(folder.path)),
    ]


_FIGURES = {
    "vqa": (
        ("loss", "loss", False),
        ("validation loss", "eval_loss", False),
        ("accuracy", "eval_accuracy", True),
        ("test accuracy", "test_accuracy", True),
    ),
    "reward": (("loss", "loss", False), ("validation loss", "eval_loss", False), ("accuracy", "eval_accuracy", True)),
    "ppo": (
        ("reward", "env/reward_mean", False),
        ("held-out reward", "eval_reward", False),
        ("KL", "objective/kl", False),
        ("held-out KL", "eval_kl", False),
    ),
}
"""By kind of run: a figure's label, its metric, and whether it is a share from 0 to 1."""


def _measured_model_text(metric: str, summary: RunSummary) -> str:
    """The text after a figure: which evaluation it is of; empty if it is not known."""
    model = measured_model(metric, summary) if metric in summary.metrics else None
    return "" if model is None else f" ({model.which} evaluation, step {model.step:,})"


def _result_rows(summary: RunSummary) -> list[tuple[str, str]]:
    """Which step's model is the result of the run."""
    if summary.result_step is None:
        return []
    is_last = summary.result_step == summary.step
    return [("its model", f"that of step {summary.result_step}, {'the last' if is_last else 'the best evaluation'}")]


def _activity_rows(summary: RunSummary, facts: dict[str, Any]) -> list[tuple[str, str]]:
    """What a live run is doing between its steps."""
    progress = progress_of(facts)
    if progress is None or summary.state not in (RunState.RUNNING, RunState.PAUSED):
        return []
    return [("now", progress_text(progress, duration))]


def _main_settings(kind: str, config: dict[str, Any]) -> list[tuple[str, str]]:
    """The settings that characterise the run."""
    model, data = config.get("model", {}), config.get("data", {})
    source = ("data", visible(data.get("source", "-")))
    if kind == "ppo":
        parts = [f"{part['weight']:g} x {part['name']}" for part in config.get("rewards", ())]
        return [("policy", visible(model.get("policy", "-"))), ("reward", visible(" + ".join(parts) or "-")), source]
    if kind == "reward":
        return [("classifier", visible(model.get("classifier", "-"))), ("reads", str(model.get("reads", "-"))), source]
    frozen = visible(", ".join(model.get("freeze", [])) or "-")
    return [("fusion", visible(model.get("fusion", "-"))), ("frozen", frozen), source]


def _config(folder: RunFolder) -> dict[str, Any]:
    try:
        return configuration.to_dict(folder.config())
    except LooptopError:  # written by a newer looptop, or edited; the rest of the run can still be shown
        return {}


def _parameters(facts: dict[str, Any]) -> str:
    if "parameters" not in facts:
        return "-"
    trainable = facts.get("trainable_parameters")
    return f"{facts['parameters']:,}" + (f", {trainable:,} trainable" if trainable is not None else "")


def _split_sizes(facts: dict[str, Any]) -> str:
    sizes = [f"{facts[key]:,} {label}" for key, label in _SPLITS if facts.get(key)]
    return ", ".join(sizes) or "-"


def _left_out(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {visible(kind)}" for kind, count in counts.items())


_SPLITS = (
    ("n_train", "to train"),
    ("n_validation", "to validate"),
    ("n_held_out", "held out"),
    ("n_test", "to test"),
)


def _took(summary: RunSummary) -> str:
    seconds = took(summary)
    return "-" if seconds is None else duration(seconds)


def _checkpoints(folder: RunFolder) -> list[str]:
    return [path.name for path in reversed(steps(folder.checkpoints).values())]


def _print_answers(samples: list[AnswerSample]) -> None:
    if not samples:
        return
    say()
    rows = [
        [
            _short(each.question),
            cut(visible_answer(each.answer), _MAX_CHARACTERS),
            percent(each.confidence),
            cut(visible_answer(each.truth), _MAX_CHARACTERS),
        ]
        for each in samples
    ]
    for line in table(["question", "answer", "confidence", "truth"], rows, right=["confidence"]):
        say(f"  {line}")


def _short(text: str) -> str:
    return visible(cut(text, _MAX_CHARACTERS))


def _print_alerts(events: list[Event]) -> None:
    alerts = [event for event in events if event.kind == "alert"]
    if not alerts:
        return
    say()
    for alert in alerts:
        say(f"  ! {visible(alert.text)}")


def _print_events(events: list[Event]) -> None:
    if not events:
        return
    say()
    for event in events[-MAX_EVENTS:]:
        level = "" if event.level == "info" else f"{visible(event.level)}: "
        say(f"  {local_time(event.time, '%H:%M:%S')}  {level}{visible(event.text)}")


def _next_commands(name: str, summary: RunSummary) -> str:
    state = summary.state
    if state in (RunState.CREATED, RunState.RUNNING):
        return f"looptop attach {name}, pause, checkpoint, stop; its log: looptop logs {name} -f"
    if state is RunState.QUEUED:
        return f"looptop attach {name}, stop; it trains by itself once {visible(summary.after)} has ended"
    if state is RunState.PAUSED:
        return f"looptop continue {name}, step, stop; its log: looptop logs {name}"
    if summary.kind in TRAINED_ELSEWHERE:
        return f"looptop attach {name}"
    if state is RunState.FINISHED:
        return what_next(summary.kind, name)
    return f"looptop resume {name}; its log: looptop logs {name}"
