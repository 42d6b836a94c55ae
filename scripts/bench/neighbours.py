"""How much slower a run is beside another one on the same CPU.

Turns of a few seconds alternate: one run alone (the other is stopped by a signal), then both together.
"""

from __future__ import annotations

import os
import signal
import tempfile
from contextlib import ExitStack

from looptop.engine import config
from looptop.engine.journal.reader import Journal
from looptop.engine.startup.host import launch
from scripts.bench.pairs import Ratio
from scripts.bench.training import stop
from scripts.bench.turns import Turn, alone, ratio_of, seconds_a_step, turn
from scripts.bench.watching import PPO, VQA, Watched, steps
from tests.support import eventually

TURNS = 6

SECONDS = 5.0
"""The length of a turn."""


def slower_beside(kind: Watched) -> Ratio:
    """The time of a step beside another run of the same kind, over its time alone."""
    with ExitStack() as at_the_end:
        runs = [launch(config.override(config.preset("tiny", kind.name), kind.endless)) for _ in range(2)]
        for folder in runs:
            at_the_end.callback(stop, folder)
        pids = [owner.pid for folder in runs if (owner := folder.owner()) is not None]
        for pid in pids:
            at_the_end.callback(os.kill, pid, signal.SIGCONT)
        for folder in runs:
            eventually(lambda folder=folder: steps(folder) > kind.warm, limit=300)  # type: ignore[misc]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        pairs = [(alone(pids[0], a_turn), alone(pids[0], lambda: alone(pids[1], a_turn))) for _ in range(TURNS)]
        ends = [point.time for point in Journal(runs[0].db).values("loss")]
    by_itself, together = (seconds_a_step(ends, side) for side in zip(*pairs, strict=True))
    return ratio_of(by_itself, together)


def a_turn() -> Turn:
    """One turn."""
    return turn(SECONDS)


def main() -> None:
    """Prints a ratio for each kind of run."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOOPTOP_HOME"] = home
        for kind in (VQA, PPO):
            ratio = slower_beside(kind)
            print(f"a {kind.name} step beside another run: {ratio} times as long as alone (goal: at most 1.5)")
            print(f"  {ratio.peer * 1000:.0f} ms, alone {ratio.ours * 1000:.0f} ms", flush=True)


if __name__ == "__main__":
    main()
