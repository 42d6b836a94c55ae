"""Writes a run's log, a text file for people: events, changes of state, evaluations, and a step every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from looptop.engine.journal.causes import Cause
from looptop.engine.journal.records import RunState
from looptop.engine.journal.writer import Listener

STEP_SECONDS = 5.0
"""Seconds between two lines about steps."""

_STEP_METRICS = {
    "loss": "loss",
    "env/reward_mean": "reward",
    "objective/kl": "kl",
    "learning_rate": "learning rate",
    "samples_per_second": "samples/s",
    "seconds_left": "seconds left",
}
"""The metrics in the line of a step and their names there; a step without any of them shows all its metrics."""

_EVALUATION_PREFIXES = ("eval_", "test_")
_SPEED_SUFFIXES = ("_runtime", "_per_second")


class RunLog(Listener):
    """Writes the log of a run from what is added to its journal.

    Args:
        write: Adds a line to the log.
        seconds: Seconds between two lines about steps.
    """

    def __init__(self, write: Callable[[str], object], seconds: float = STEP_SECONDS) -> None:
        self._write = write
        self._seconds = seconds
        self._next = 0.0

    def on_event(self, kind: str, text: str, level: str) -> None:
        """Writes a line."""
        self._write(text if level == "info" else f"{level}: {text}")

    def on_state(self, state: RunState, reason: str, cause: Cause | None) -> None:
        """Writes a line."""
        self._write(f"{state}: {reason}" if reason else str(state))

    def on_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Writes a line for an evaluation, and for a step if it is time."""
        measured = {
            name: value
            for name, value in values.items()
            if name.startswith(_EVALUATION_PREFIXES) and not name.endswith(_SPEED_SUFFIXES)
        }
        if measured:
            self._write(f"evaluation at step {step}: {_figures_text(measured)}")
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + self._seconds
            known = {word: values[name] for name, word in _STEP_METRICS.items() if name in values}
            self._write(f"step {step}: {_figures_text(known or values)}")


def _figures_text(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
