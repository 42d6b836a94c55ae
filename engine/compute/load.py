"""How much of the processor other programs take."""

from __future__ import annotations

import os
import time
from typing import NamedTuple


class Reading(NamedTuple):
    """What had been computed by a moment, in seconds of one core."""

    moment: float
    """By the monotonic clock."""
    busy: float
    """By all programs, on the cores that this process may use."""
    own: float
    """By this process."""


def read() -> Reading:
    """What has been computed by now.

    Raises:
        OSError: The system does not tell.
    """
    import psutil  # not before a run has its lock

    cores = psutil.cpu_times(percpu=True)
    if hasattr(os, "sched_getaffinity"):
        mine = os.sched_getaffinity(0)
        cores = [core for number, core in enumerate(cores) if number in mine]
    return Reading(time.monotonic(), sum(_busy(core) for core in cores), time.process_time())


def cores_of_others(before: Reading, now: Reading) -> float:
    """How many cores programs other than this one kept busy between two readings, on average."""
    return max(0.0, (now.busy - before.busy - (now.own - before.own)) / (now.moment - before.moment))


def _busy(core: object) -> float:
    # What there is differs between systems; what a guest computes is in `user`.
    return sum(getattr(core, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq"))
