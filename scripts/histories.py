"""Makes runs with long histories, as real runs journal them: `python -m scripts.histories [METRICS STEPS]`.

By default 20 metrics of 50,000 steps, and one of 5,000,000 with a spike of a single step, in `$LOOPTOP_HOME`.
"""

from __future__ import annotations

import sys
import time

from tests.factories.histories import make

DEFAULT = ((20, 50_000), (1, 5_000_000))


def main() -> None:
    """Makes them, and says where they are."""
    sizes = [(int(sys.argv[1]), int(sys.argv[2]))] if len(sys.argv) == 3 else DEFAULT
    for metrics, steps in sizes:
        began = time.perf_counter()
        run = make(metrics, steps)
        took = time.perf_counter() - began
        print(f"{run.id}: {metrics} x {steps:,} in {took:.0f} s, {run.db.stat().st_size / 2**20:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
