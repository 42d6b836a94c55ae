"""Runs with long histories, as real runs journal them."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from looptop.engine.runs.folder import RunFolder

SPIKE = 1000.0


def value(metric: int, step: int, steps: int) -> float:
    """A loss that falls and wobbles; the first metric has one spike, a little behind its middle."""
    if metric == 0 and step == spike_at(steps):
        return SPIKE
    return (1 + metric) * math.exp(-3 * step / steps) + 0.2 * math.sin(step * 0.7) + 0.1 * math.sin(step * step * 0.01)


def spike_at(steps: int) -> int:
    """The step of the spike."""
    return steps // 2 + 1234


def names(metrics: int) -> list[str]:
    """What the metrics are called."""
    return [f"layer.{number}/loss" for number in range(metrics)]


def make(metrics: int, steps: int) -> RunFolder:
    """Makes a finished run."""
    # Here: the peers of the benchmark take their numbers from this module, without looptop.
    from looptop.engine.journal.records import RunState
    from looptop.engine.journal.writer import JournalWriter
    from looptop.engine.runs.about import write_about
    from looptop.engine.runs.folder import RunFolder

    run = RunFolder.create("trainer", {"kind": "trainer", "name": f"{metrics} x {steps:,}"})
    write_about(run.path, title=f"{metrics} metrics of {steps:,} steps")
    writer = JournalWriter(run.db)
    writer.state(RunState.RUNNING)
    writer.facts(total_steps=steps)
    keys, began = names(metrics), time.time()
    for step in range(1, steps + 1):
        writer.metrics(step, {key: value(number, step, steps) for number, key in enumerate(keys)}, began + step * 0.01)
    writer.state(RunState.FINISHED)
    if not writer.close(timeout=600):
        raise SystemExit("the journal could not be written")
    return run
