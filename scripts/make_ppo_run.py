"""Makes a synthetic PPO run of any size: `python -m scripts.make_ppo_run --batches 2000`."""

from __future__ import annotations

import argparse
import sys
import time

from tests.factories.synthetic_ppo import Maker, make_comparison, make_run


def main() -> int:
    """Makes a run and prints its id, folder and size.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m scripts.make_ppo_run", description=__doc__)
    parser.add_argument("--batches", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--short", action="store_true", help="responses as long as their texts, instead of all tokens")
    chosen = parser.parse_args()
    began = time.perf_counter()
    run = make_run(Maker(chosen.batches, chosen.samples, chosen.tokens, full=not chosen.short))
    make_comparison(run)
    print(f"{run.id}  {run.path}  {run.db.stat().st_size / 2**20:,.0f} MiB in {time.perf_counter() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
