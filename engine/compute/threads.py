"""How many CPU threads torch gets, and how they wait for one another.

The count is fixed before a run computes and depends only on its configuration, its journal, the environment and the
machine, never on what else runs: a seeded run gives the same numbers whatever runs beside it.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Environment of a process that computes, read when torch is loaded: threads that wait for one another sleep. Where two
programs compute, spinning threads keep the cores from the threads that they wait for: on two cores a step of the tiny
VQA preset with two threads took 11 times as long beside another such run, and 1.4 times with sleeping threads."""


def cpu_threads(configured: int = 0, before: int = 0) -> int:
    """CPU threads to compute with. Another count adds numbers in another order, and so changes the last digits of sums:
    so nothing here depends on what else the machine computes.

    Args:
        configured: `training.threads`; 0 where it is left open. `OMP_NUM_THREADS` decides then.
        before: With how many a resumed run began; 0 for a new one. Kept where this process may use as many cores.

    Returns:
        Where nothing above decides, the physical cores that this process may use.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    decided = configured or (int(asked) if asked.isdigit() else 0)
    cores = max(1, min(_cores(), _quota()))
    return decided or (before if 0 < before <= cores else cores)


def _cores() -> int:
    """Physical cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return _physical_cores(os.sched_getaffinity(0))
    import psutil  # takes a while, and only this needs it

    return psutil.cpu_count(logical=False) or os.cpu_count() or 1


def _physical_cores(logical: set[int], topology: Path = Path("/sys/devices/system/cpu")) -> int:
    """How many cores the logical processors lie on (two to a core with hyper-threading)."""
    cores = set()
    for number in logical:
        try:
            cores.add((topology / f"cpu{number}" / "topology" / "thread_siblings_list").read_text().strip())
        except OSError:
            cores.add(str(number))
    return len(cores)


def _quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Processors that the container's time quota amounts to; a container sees all of the host's cores."""
    try:
        quota, period = file.read_text().split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no file, or "max": no limit
        return os.cpu_count() or 1
