"""Two sides of a ratio that take turns of some seconds: one computes, the other is stopped by a signal.

The speed of a machine that is shared wanders by a tenth within a minute. Of sides that take turns the ratio is the
same, though both become slower.
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
    """When it began and ended, by the clock of the steps' times."""

    begin: float
    end: float


def turn(seconds: float) -> Turn:
    """Lets some seconds pass."""
    begin = time.time()
    time.sleep(seconds)
    return Turn(begin, time.time())


def alone(pid: int, during: Callable[[], Turn]) -> Turn:
    """A turn of a process that is stopped before and after it."""
    os.kill(pid, signal.SIGCONT)
    try:
        return during()
    finally:
        os.kill(pid, signal.SIGSTOP)


def seconds_a_step(times: Sequence[float], turns: Sequence[Turn]) -> list[float]:
    """Of each turn, by the times at which steps ended; the first of a turn began before it, and is not counted."""
    found = []
    for begin, end in turns:
        inside = [at for at in times if begin < at < end]
        found.append((inside[-1] - inside[0]) / (len(inside) - 1))
    return found


def ratio_of(ours: Sequence[float], peer: Sequence[float]) -> Ratio:
    """The peer's seconds over ours, pair by pair: the speed that ours has of the peer's."""
    ratios = sorted(theirs / mine for mine, theirs in zip(ours, peer, strict=True))
    return Ratio(
        statistics.median(ratios), ratios[0], ratios[-1], statistics.median(ours), statistics.median(peer), len(ratios)
    )
