"""A run on the Train screen as text: its head, progress, figures and sample answers."""

from __future__ import annotations

import math
from typing import Any

from textual.content import Content

from looptop.engine.journal.decode import result_step
from looptop.engine.runs.alerts import QUESTION_ONLY
from looptop.engine.runs.folder import RunState
from looptop.engine.runs.listing import took
from looptop.engine.runs.progress import progress_of, progress_text
from looptop.engine.text import visible_answer
from looptop.tui.run_text import STATE_COLOURS, state_label
from looptop.tui.text import bar, cell, duration, number, percent, reason, safe, size
from looptop.tui.train.snapshot import Snapshot

_LONGEST_QUESTION = 1000
"""The most characters of a sample's question that are shown."""


def head(snapshot: Snapshot, width: int) -> Content:
    """The run's name, its state, its model and its data."""
    settings = snapshot.settings
    model, training = _table(settings, "model"), _table(settings, "training")
    words = [
        str(settings.get("preset", "")),
        str(_table(settings, "data").get("source", "")),
        str(model.get("fusion", "")),
        f"frozen: {_joined(model.get('freeze'))}",
        f"batch {training.get('per_device_train_batch_size', '?')}",
        " ".join(str(snapshot.facts[key]) for key in ("device", "precision") if snapshot.facts.get(key)),
    ]
    line = Content.assemble((snapshot.id, "bold"), "  ", state_label(snapshot.state, snapshot.alerts), "  ")
    if snapshot.heartbeat_host:
        line += safe(f"known by its heartbeat on {snapshot.heartbeat_host}  ", "$text-warning")
    if snapshot.title:
        line += safe(f"{snapshot.title}  ", "bold")
    if snapshot.state in (RunState.PAUSED, RunState.QUEUED, RunState.FAILED, RunState.STOPPED) and snapshot.reason:
        return reason(line + safe(snapshot.reason, STATE_COLOURS[snapshot.state]), width)
    if snapshot.state is RunState.INTERRUPTED:
        return line + safe(f"{snapshot.trouble}; r resumes from its last checkpoint", "$text-muted")
    if snapshot.trouble:
        return line + safe(
            f"{snapshot.trouble}: until there is room, the run keeps its metrics in memory", "$text-error"
        )
    return (line + safe(" · ".join(word for word in words if word), "$text-muted")).truncate(width, ellipsis=True)


def progress(snapshot: Snapshot, width: int) -> Content:
    """A bar, the step, the epoch, and the time left or taken."""
    total, step = snapshot.total_steps, snapshot.step
    now = progress_of(snapshot.facts) if snapshot.live else None
    if not total:
        doing = snapshot.events[-1].text if snapshot.events else "preparing models and data"
        doing = progress_text(now, duration) if now is not None else doing
        return safe(f"{doing} …" if snapshot.live else doing, "$text-muted").truncate(width, ellipsis=True)
    fraction = min(1.0, step / total)
    words = [f"{100 * fraction:3.0f} %", f"step {step:,} of {total:,}"]
    if now is not None:
        words.append(progress_text(now, duration))
    epoch, epochs = snapshot.value("epoch"), _table(snapshot.settings, "training").get("num_train_epochs")
    if epoch is not None and isinstance(epochs, int | float):
        words.append(f"epoch {epoch:.1f} of {epochs:g}")
    left = snapshot.value("seconds_left")
    if snapshot.state is RunState.RUNNING and left is not None and step < total:
        words.append(f"about {duration(left)} left")
    elif snapshot.ended and (seconds_taken := took(snapshot)) is not None:
        words.append(f"took {duration(seconds_taken)}")
    text = "  ".join(words)
    room = max(8, width - len(text) - 2)
    filled = bar(fraction, room)
    return Content.assemble((filled, "$primary"), ("░" * (room - len(filled)), "$panel"), "  ", text)


def figures(snapshot: Snapshot) -> Content:
    """The latest figures, one on each line."""
    value = {name: math.nan if point.value is None else point.value for name, point in snapshot.latest.items()}.get
    rows = [
        ("train loss", _figure(value("loss"))),
        ("validation loss", _figure(value("eval_loss"))),
        ("validation acc.", _percent(value("eval_accuracy"))),
    ]
    best = result_step(snapshot.facts)
    if "eval_accuracy" in snapshot.latest:
        rows.append(("  last, step", f"{snapshot.latest['eval_accuracy'].step:,}"))
    if isinstance(alone := snapshot.facts.get(QUESTION_ONLY), float):
        rows.append(("question only", _percent(alone)))
    if "test_accuracy" in snapshot.latest:
        rows.append(("test accuracy", _percent(value("test_accuracy"))))
    if best is not None:
        rows.append(("  best, step" if "test_accuracy" in snapshot.latest else "best, step", f"{best:,}"))
    rows += [
        ("learning rate", _figure(value("learning_rate"))),
        ("gradient norm", _figure(value("grad_norm"))),
        ("samples/s", _figure(value("samples_per_second"))),
        ("memory", "-" if snapshot.memory is None else size(snapshot.memory)),
    ]
    trained, total = snapshot.facts.get("trainable_parameters"), snapshot.facts.get("parameters")
    if isinstance(total, int) and isinstance(trained, int):
        rows += [("parameters", _short(total)), ("of them trained", _short(trained))]
    for name, key in (("train on", "n_train"), ("validate on", "n_validation"), ("test on", "n_test")):
        count = snapshot.facts.get(key)
        if isinstance(count, int) and count:
            rows.append((name, f"{count:,}"))
    lines = [Content.assemble((f"{name:<16}", "$text-muted"), safe(f"{figure:>9}")) for name, figure in rows]
    return Content("\n").join(lines)


def samples(snapshot: Snapshot, width: int) -> Content:
    """The answers of an evaluation; a question that is too long for its column goes on below."""
    if not snapshot.samples:
        return Content.styled("after the first evaluation", "$text-muted")
    answers = min(12, max(6, *(len(visible_answer(sample.answer)) for sample in snapshot.samples)))
    truths = min(12, max(5, *(len(visible_answer(sample.truth)) for sample in snapshot.samples)))
    question = max(10, width - answers - truths - 13)
    lines = [
        Content.assemble(
            Content("  "),
            cell("question", question),
            " ",
            cell("truth", truths),
            " ",
            cell("answer", answers),
            "  conf.",
        ).stylize("$text-muted")
    ]
    for sample in snapshot.samples:
        mark = ("✓ ", "$text-success") if sample.correct >= 0.5 else ("✗ ", "$text-error")
        first, *rest = safe(sample.question[:_LONGEST_QUESTION]).wrap(question)
        lines.append(
            Content.assemble(
                mark,
                cell(first.plain.rstrip(), question),
                " ",
                cell(visible_answer(sample.truth), truths, "$text-muted"),
                " ",
                cell(visible_answer(sample.answer), answers, "bold"),
                " ",
                percent(sample.confidence),
            )
        )
        lines += [Content("  ") + Content(line.plain.rstrip()) for line in rest]
    return Content("\n").join(lines)


def _figure(value: float | None) -> str:
    return "-" if value is None else number(value)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _short(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count / 1e3:.0f} k"


def _joined(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")


def _table(settings: dict[str, Any], name: str) -> dict[str, Any]:
    table = settings.get(name)
    return table if isinstance(table, dict) else {}
