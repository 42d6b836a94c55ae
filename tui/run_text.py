"""How every screen writes a run: its state with mark and colour, its headline figure, its line in a list of runs."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from looptop.engine.journal.records import RunState, RunSummary, state_text
from looptop.engine.runs.listing import headline, measured_model
from looptop.tui.text import cell, number, safe

STATE_COLOURS = {
    RunState.CREATED: "$text-muted",
    RunState.QUEUED: "$text-accent",
    RunState.RUNNING: "$text-success",
    RunState.PAUSED: "$text-warning",
    RunState.FINISHED: "$text-primary",
    RunState.STOPPED: "$text-warning",
    RunState.FAILED: "$text-error",
    RunState.INTERRUPTED: "$text-error",
}
STATE_MARKS = {
    RunState.CREATED: "◌",
    RunState.QUEUED: "…",
    RunState.RUNNING: "▶",
    RunState.PAUSED: "⏸",
    RunState.FINISHED: "✓",
    RunState.STOPPED: "■",
    RunState.FAILED: "✗",
    RunState.INTERRUPTED: "✗",
}
MAX_NAME_WIDTH = 14
"""The most cells of a run's name in a list."""
ALERT_MARK = "!"
"""The mark of a run that finished but raised alerts."""


def state_label(state: RunState, alerts: int = 0) -> Content:
    """A run's state with its mark, its colour and the number of its alerts."""
    text = f"{state_mark(state, alerts)} {state_text(state, alerts)}"
    if not alerts or state is RunState.FINISHED:
        return Content.styled(text, f"{'$text-warning' if alerts else STATE_COLOURS[state]} bold")
    shown = len(f"{STATE_MARKS[state]} {state.value}")
    return Content.assemble((text[:shown], f"{STATE_COLOURS[state]} bold"), (text[shown:], "$text-warning bold"))


def state_mark(state: RunState, alerts: int = 0) -> str:
    """The sign of a run's state."""
    return ALERT_MARK if state is RunState.FINISHED and alerts else STATE_MARKS[state]


def run_list_lines(summaries: Sequence[RunSummary]) -> list[Content]:
    """The lines of a list of runs, one for each, in columns that are as wide as these runs need."""
    states = [state_label(each.state, each.alerts) for each in summaries]
    figures = [figure_text(each) if headline(each)[0].endswith("accuracy") else "" for each in summaries]
    name_width = max((min(len(each.id), MAX_NAME_WIDTH) for each in summaries), default=0)
    state_width, figure_width = max(map(len, states), default=0), max(map(len, figures), default=0)
    lines = []
    for summary, state, figure in zip(summaries, states, figures, strict=True):
        how_far = f"{summary.step or 0:,}/{summary.total_steps:,}" if summary.total_steps else ""
        lines.append(
            Content.assemble(
                cell(summary.id, name_width + 2, "bold"),
                state.pad_right(state_width - len(state) + 2),
                safe(f"{summary.preset:<6.6} {how_far:>13}  {figure:<{figure_width}}  {summary.title}", "$text-muted"),
            )
        )
    return lines


def figure_text(summary: RunSummary) -> str:
    """A run's headline figure, and which model it is of: "99.9 % test, best, step 360"."""
    name, value = headline(summary)
    if value is None:
        return f"nan {name}" if name else ""
    model = measured_model(name, summary)
    of = "" if model is None else f", {model}"
    # An accuracy is a fraction, unless the journal is damaged.
    if not name.endswith("accuracy") or abs(value) >= 1e4:
        return f"{number(value)} {_SHORT.get(name, name)}{of}"
    return f"{100 * value:.1f} % {_SHORT.get(name, name)}{of}"


_SHORT = {
    "test_accuracy": "test",
    "eval_accuracy": "val.",
    "eval_loss": "val. loss",
    "eval_reward": "held-out",
}
