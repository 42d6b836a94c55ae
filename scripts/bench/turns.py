"""Measures two processes in turns of a few seconds: one computes while the other is stopped by a signal.

The speed of a shared machine changes by a tenth within a minute. With short turns both sides become slower alike, and
their ratio stays the same.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from scripts.bench.pairs import Ratio


class Turn(NamedTuple):
    """When a turn began and ended, by the same clock as the steps' times."""

    begin: float
    end: float


def turn(seconds: float) -> Turn:
    """Waits for some seconds and returns when that was."""
    begin = time.time()
    time.sleep(seconds)
    return Turn(begin, time.time())


def alone(pid: int, during: Callable[[], Turn]) -> Turn:
    """A turn of a process that is stopped otherwise."""
    os.kill(pid, signal.SIGCONT)
    try:
        return during()
    finally:
        os.kill(pid, signal.SIGSTOP)


def seconds_a_step(times: Sequence[float], turns: Sequence[Turn]) -> list[float]:
    """The seconds a step in each turn, from the times at which steps ended. A turn's first step began before the turn
    and is not counted.
    """
    seconds = []
    for begin, end in turns:
        inside = [time_ for time_ in times if begin < time_ < end]
        seconds.append((inside[-1] - inside[0]) / (len(inside) - 1))
    return seconds


def ratio_of(ours: Sequence[float], peer: Sequence[float]) -> Ratio:
    """The peer's seconds over ours, pair by pair: our speed as a share of the peer's."""
    ratios = sorted(theirs / mine for mine, theirs in zip(ours, peer, strict=True))
    return Ratio(
        statistics.median(ratios), ratios[0], ratios[-1], statistics.median(ours), statistics.median(peer), len(ratios)
    )
