"""What an alert is, and what a rule that raises alerts has.

A rule is a small class that reads figures and remembers what it needs. It does not read clocks, files or the journal:
what it judges is handed to it, so that the same figures always raise the same alerts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, ClassVar

from msgspec import Struct


class AlertCode(StrEnum):
    """What is wrong, for programs."""

    NOT_FINITE = "not_finite"
    LOSS_ABOVE_START = "loss_above_start"
    LOSS_RISING = "loss_rising"
    EVAL_LOSS_WORSE = "eval_loss_worse"
    OVERFITTING = "overfitting"
    GRADIENT_EXPLODING = "gradient_exploding"
    GRADIENT_VANISHING = "gradient_vanishing"
    NO_BETTER_THAN_QUESTION = "no_better_than_question"
    THROUGHPUT_FALLEN = "throughput_fallen"
    LOADING_BOTTLENECK = "loading_bottleneck"
    DISK_NEARLY_FULL = "disk_nearly_full"
    GPU_MEMORY_NEARLY_FULL = "gpu_memory_nearly_full"


class Alert(Struct, frozen=True):
    """Something that goes wrong in a run without failing it."""

    code: AlertCode
    step: int
    figures: dict[str, float]
    """The figures that show it, by name; `sentences` says them."""
    metric: str = ""
    """The metric that is not finite; the unit of the throughput."""


class Timing(Struct, frozen=True):
    """How long one step took. Pauses, evaluations and checkpoints are not counted."""

    step: int
    seconds: float
    loading_seconds: float
    """How much of it the step waited for its data."""
    work: float
    """What the step trained on, in `unit`."""
    unit: str = "samples"
    cpu_seconds: float = 0.0
    """CPU time that the run's process had meanwhile; 0 if the run does not compute on the CPU."""


class Resources(Struct, frozen=True):
    """What a run has left of the machine."""

    step: int
    disk_free: int
    """Free bytes on the file system of the run's folder."""
    checkpoint_bytes: int
    """The size of the next checkpoint."""
    gpu_used: int = 0
    """The most GPU memory in use so far, by every program, in bytes."""
    gpu_total: int = 0
    """0 for a run that does not compute on a GPU."""


class Rule:
    """Judges one thing. Each method returns the alerts that its argument gives rise to; those here return none."""

    metrics: ClassVar[frozenset[str]] = frozenset()
    """The metrics that it reads; those of a resumed run are read again from its journal."""
    needs_falling_loss: ClassVar[bool] = False
    """Whether the rule only makes sense if training lowers the loss. `Alerts` drops such rules as soon as a run logs a
    reward: a trainer that maximises a reward may raise its loss."""

    def on_facts(self, facts: Mapping[str, Any]) -> None:
        """Reads facts about the run, such as `total_steps`."""

    def on_metrics(self, step: int, values: Mapping[str, float]) -> Iterable[Alert]:
        """Judges the values of a step."""
        return ()

    def on_timing(self, timing: Timing) -> Iterable[Alert]:
        """Judges how long a step took."""
        return ()

    def on_resources(self, resources: Resources) -> Iterable[Alert]:
        """Judges what is left of the machine."""
        return ()

    def on_finish(self) -> Iterable[Alert]:
        """Judges the run when it has finished."""
        return ()
