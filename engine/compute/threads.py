"""How many CPU threads torch uses, and how they wait for each other.

The number is fixed before a run computes. It depends on the run's configuration and journal, the environment and the
machine, but never on what else is running, so that a seeded run always gives the same results.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

WAIT_POLICY = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Environment variables of a process that computes, read when torch is loaded: waiting threads sleep instead of
spinning. If two programs compute, spinning threads take the cores from the threads that they wait for. On two cores, a
step of the tiny VQA preset with two threads took 11 times as long beside another such run, and 1.4 times with sleeping
threads."""


def cpu_threads(configured: int = 0, previous: int = 0) -> int:
    """The number of CPU threads to compute with. It changes the order of additions, and so the last digits of sums;
    therefore it does not depend on what else is running.

    Args:
        configured: `training.threads`; 0 if not set.
        previous: The number that a resumed run started with; 0 for a new run.

    Returns:
        The first that applies: `configured`; `OMP_NUM_THREADS`; `previous`, if this process may use that many cores;
        the physical cores that this process may use.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    decided = configured or (int(asked) if asked.isdigit() else 0)
    cores = max(1, min(_cores(), _quota()))
    return decided or (previous if 0 < previous <= cores else cores)


def _cores() -> int:
    """Physical cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return _physical_cores(os.sched_getaffinity(0))
    import psutil  # slow to import

    return psutil.cpu_count(logical=False) or os.cpu_count() or 1


def _physical_cores(logical: set[int], topology: Path = Path("/sys/devices/system/cpu")) -> int:
    """The number of physical cores of these logical CPUs (with hyper-threading a core has two)."""
    cores = set()
    for number in logical:
        try:
            cores.add((topology / f"cpu{number}" / "topology" / "thread_siblings_list").read_text().strip())
        except OSError:
            cores.add(str(number))
    return len(cores)


def _quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """CPUs that the container's time quota amounts to; a container sees all cores of the host."""
    try:
        quota, period = file.read_text().split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no file, or "max": no limit
        return os.cpu_count() or 1
