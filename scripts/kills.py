"""Kills the writer of a run's journal with -9 at 200 random moments: `make kills` (some minutes).

Each time a process writes steps as fast as it can, counts them itself, and is killed. The journal must open, hold
exactly what was written, and lack at most the last second or 20 steps.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from tests.engine.runs.kills import kill_at

KILLS = 200
LATEST = 2.5
"""The latest moment of a kill, in seconds since the writer's start."""


def main() -> int:
    """Kills the writers and prints how much was missing at most.

    Returns:
        The exit code: 1 if a journal lacked more than allowed.
    """
    seed = int(time.time())
    rng = random.Random(seed)
    results = []
    for number in range(KILLS):
        with tempfile.TemporaryDirectory() as folder:
            seconds = rng.uniform(0.0, LATEST)
            try:
                results.append(kill_at(Path(folder), seconds))
            except AssertionError as error:
                print(f"kill {number + 1} of seed {seed}, after {seconds:.3f} s: {error}", flush=True)
                return 1
        if (number + 1) % 20 == 0:
            print(f"{number + 1} kills", flush=True)
    steps, seconds_ago = max(missing for missing, _ in results), max(ago for _, ago in results)
    print(
        f"{KILLS} kills, seed {seed}: every journal opened; at most {steps:,} steps were missing, written within",
        end=" ",
    )
    print(f"{seconds_ago:.2f} s before the kill (allowed: 20 steps or 1 s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
