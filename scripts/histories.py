"""Makes runs with long histories, journalled like real runs: `python -m scripts.histories [METRICS STEPS]`.

By default it makes two in `$LOOPTOP_HOME`: 20 metrics of 50,000 steps, and one metric of 5,000,000 steps with a spike
at a single step.
"""

from __future__ import annotations

import sys
import time

from tests.factories.histories import make

DEFAULT = ((20, 50_000), (1, 5_000_000))


def main() -> None:
    """Makes the runs and prints their ids and sizes."""
    sizes = [(int(sys.argv[1]), int(sys.argv[2]))] if len(sys.argv) == 3 else DEFAULT
    for metrics, steps in sizes:
        began = time.perf_counter()
        run = make(metrics, steps)
        took = time.perf_counter() - began
        print(f"{run.id}: {metrics} x {steps:,} in {took:.0f} s, {run.db.stat().st_size / 2**20:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
