"""The one figure that stands for a run in a list, how far it has come, how long it took, and the order of a list."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from looptop.engine.journal.records import RunSummary

_FIRST = (
    "test_accuracy",
    "eval_accuracy",
    "eval_reward",
    "reward",
    "env/reward_mean",
    "ppo/mean_scores",
    "eval_loss",
    "loss",
    "train_loss",
    "train/loss",
)
"""Metrics that say best how good a model is, the best first; where a run has none of them, its first metric does."""

COLUMNS = ("id", "kind", "state", "progress", "headline", "started", "took", "device", "note", "created")
"""What a list of runs can be ordered by, besides any metric."""

_STATES = ("running", "paused", "created", "interrupted", "failed", "stopped", "finished")


def headline(summary: RunSummary) -> tuple[str, float | None]:
    """The metric that stands for the run and its last value; an empty name where it has none."""
    name = next((name for name in _FIRST if name in summary.metrics), next(iter(summary.metrics), ""))
    return name, summary.metrics.get(name)


def headline_step(summary: RunSummary) -> int | None:
    """The step whose model the headline measures, where it is a figure of an evaluation or of the test split."""
    name = headline(summary)[0]
    if name.startswith("test_"):
        return summary.result_step
    return summary.evaluation_step if name.startswith("eval_") else None


def progress(summary: RunSummary) -> float | None:
    """How much of the run is done, from 0 to 1; None where nobody knows."""
    if not summary.total_steps:
        return None
    return max(0.0, min(1.0, (summary.step or 0) / summary.total_steps))


def took(summary: RunSummary, now: float | None = None) -> float | None:
    """Seconds from its first step to its end, or until now; None where it never ran or nobody knows when it ended."""
    if summary.started is None:
        return None
    if summary.ended is not None:
        return max(0.0, summary.ended - summary.started)
    return max(0.0, (now or time.time()) - summary.started) if summary.live else None


def ordered(summaries: Iterable[RunSummary], by: str, *, reverse: bool = False) -> list[RunSummary]:
    """The runs in the order of a column or a metric; those without it come last either way.

    Args:
        summaries: The runs.
        by: One of `COLUMNS`, or a metric.
        reverse: The largest first.
    """
    value: Callable[[RunSummary], Any] = _KEYS.get(by) or (lambda summary: summary.metrics.get(by))
    keyed = [(value(summary), summary) for summary in summaries]
    with_value = sorted(
        ((key, each) for key, each in keyed if key is not None), key=lambda pair: pair[0], reverse=reverse
    )
    return [each for _, each in with_value] + [each for key, each in keyed if key is None]


def _by_number(run_id: str) -> tuple[str, int]:
    match = re.fullmatch(r"([a-z]+)-(\d+)", run_id)
    return (match[1], int(match[2])) if match else (run_id, 0)


_KEYS: dict[str, Callable[[RunSummary], Any]] = {
    "id": lambda summary: _by_number(summary.id),
    "kind": lambda summary: summary.kind,
    "state": lambda summary: _STATES.index(summary.state.value),
    "progress": progress,
    "headline": lambda summary: headline(summary)[1],
    "started": lambda summary: summary.started,
    "took": took,
    "device": lambda summary: summary.device or None,
    "note": lambda summary: (summary.title or summary.note).lower() or None,
    "created": lambda summary: summary.created,
}
