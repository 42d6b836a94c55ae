"""Rules about speed: throughput fallen, data loading the bottleneck.

They judge blocks of steps, each so long that a short burst of work by another program does not matter.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import NamedTuple

from looptop.engine.runs.alerts.records import Alert, AlertCode, Rule, Timing

BLOCK_STEPS, BLOCK_SECONDS = 20, 20.0
"""A block of steps is complete with this many steps that took this long together."""
FALLEN = 2 / 3
"""Throughput has fallen below this share of its best. A second run on the same cores halves it; programs that run
briefly take less than this."""
BLOCKS_SLOW = 3
"""An alert follows after this many slow blocks in a row, which take a minute at least."""
WAITING = 0.5
"""Loading is the bottleneck if the steps of a block wait longer for their data than they compute ..."""
BLOCKS_WAITING = 2
"""... in this many blocks in a row."""


class _Pace(NamedTuple):
    """A complete block of steps."""

    throughput: float
    """Work a second, of the median step."""
    waiting: float
    """The share of the time that the steps waited for their data."""
    cores: float
    """CPU time divided by the time in which it computed: how many cores it used; 0 if that is not known."""


class _Paces:
    def __init__(self) -> None:
        self._steps: list[Timing] = []
        self._seconds = 0.0

    def add(self, timing: Timing) -> _Pace | None:
        """Adds a step, unless its work or time is unknown. Returns the block that it completes, if it completes one."""
        if timing.seconds <= 0 or not timing.work > 0:
            return None
        self._steps.append(timing)
        self._seconds += timing.seconds
        if len(self._steps) < BLOCK_STEPS or self._seconds < BLOCK_SECONDS:
            return None
        steps, seconds = self._steps, self._seconds
        self._steps, self._seconds = [], 0.0
        throughput = statistics.median(step.work / step.seconds for step in steps)
        loading = sum(step.loading_seconds for step in steps)
        computing = seconds - loading
        cores = sum(step.cpu_seconds for step in steps) / computing if computing > 0 else 0.0
        return _Pace(throughput, loading / seconds, cores)


class Throughput(Rule):
    """Training has become slower and stays so."""

    def __init__(self) -> None:
        self._paces = _Paces()
        self._before: float | None = None
        self._best = 0.0
        """The best throughput that two blocks in a row both reached."""
        self._best_cores = 0.0
        """The cores that the run used then."""
        self._slow = 0

    def on_timing(self, timing: Timing) -> Iterable[Alert]:
        """Compares each block of steps with the best before it."""
        pace = self._paces.add(timing)
        if pace is None:
            return
        self._slow = self._slow + 1 if pace.throughput < FALLEN * self._best else 0
        if self._before is not None and (both := min(self._before, pace.throughput)) > self._best:
            self._best, self._best_cores = both, pace.cores
        self._before = pace.throughput
        if self._slow >= BLOCKS_SLOW:
            figures = {"now": pace.throughput, "best": self._best}
            if pace.cores < FALLEN * self._best_cores:  # The run's own CPU time: something else may use the cores.
                figures |= {"cores": pace.cores, "best_cores": self._best_cores}
            yield Alert(AlertCode.THROUGHPUT_FALLEN, timing.step, figures, timing.unit)


class Loading(Rule):
    """Steps wait for their data for most of their time."""

    def __init__(self) -> None:
        self._paces = _Paces()
        self._waiting = 0

    def on_timing(self, timing: Timing) -> Iterable[Alert]:
        """Judges each block of steps."""
        pace = self._paces.add(timing)
        if pace is None:
            return
        self._waiting = self._waiting + 1 if pace.waiting > WAITING else 0
        if self._waiting >= BLOCKS_WAITING:
            yield Alert(AlertCode.LOADING_BOTTLENECK, timing.step, {"share": pace.waiting})
