"""Watching a run that trains: what the app costs, what training loses, how soon a key is answered."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable

import psutil

from looptop.engine import config
from looptop.engine.runs import control
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.host import launch
from looptop.engine.runs.journal import Journal
from scripts.bench.pairs import PAIRS, Ratio
from tests.support import eventually
from tests.terminal.tty import PROGRAM, Tty

SECONDS = 20.0
"""Length of each watched and each unwatched stretch."""

KEYS = ("s", "y")
"""Smoothing and the logarithmic scale: each draws the loss anew, the most that a key can cost."""


def main() -> None:
    """Prints the app's share of a core, training's speed of its headless one, and the keys' 95th percentile."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOOPTOP_HOME"] = home
        folder = launch(config.override(config.preset("tiny"), ["num_train_epochs=100000", "eval_steps=1000000"]))
        try:
            eventually(lambda: steps(folder) > 20)
            report(folder)
        finally:
            control.send(folder, "stop", by="bench", checkpoint=False)
            eventually(lambda: not folder.is_live())


def report(folder: RunFolder) -> None:
    """Measures `PAIRS` alternating stretches."""
    shares: list[float] = []
    latencies: list[float] = []
    ratios: list[float] = []
    for _ in range(PAIRS):
        alone = speed(folder, lambda: time.sleep(SECONDS))
        with Tty(PROGRAM, cols=160, rows=48) as tty:
            # The answering process takes processor time while it starts, once, and none afterwards.
            tty.until("bundled · ready")
            tty.send("\x1b")
            tty.until("q quit")
            tty.send("2")
            tty.until(f"{folder.id}.*running")
            settle(tty)
            process = psutil.Process(tty.pid)
            before = sum(process.cpu_times()[:2])
            began = time.perf_counter()
            watched = speed(folder, lambda tty=tty: latencies.extend(press_keys(tty)))
            shares.append((sum(process.cpu_times()[:2]) - before) / (time.perf_counter() - began))
            tty.send("q")
            tty.until_gone()
        ratios.append(watched / alone)
    ratio = Ratio(statistics.median(ratios), min(ratios), max(ratios), 0.0, 0.0)
    latencies.sort()
    print(f"watching: training keeps {ratio} of its headless speed (goal: at least 0.95)")
    print(f"watching: the app takes {statistics.median(shares):.1%} of a core (goal: at most 5 %)")
    print(
        f"watching: a key is answered in {statistics.median(latencies) * 1e3:.0f} ms,"
        f" {latencies[int(0.95 * len(latencies))] * 1e3:.0f} ms at the 95th percentile of {len(latencies)}"
        " (goal: 100 ms)"
    )


def steps(folder: RunFolder) -> int:
    """Steps that the run has made."""
    point = Journal(folder.db).last("loss")
    return point.step if point else 0


def speed(folder: RunFolder, meanwhile: Callable[[], object]) -> float:
    """Steps a second while something else is done, by the times that the run journalled."""
    first = steps(folder)
    meanwhile()
    points = Journal(folder.db).values("loss", after_step=first)
    return (len(points) - 1) / (points[-1].time - points[0].time)


def settle(tty: Tty) -> None:
    """Lets the first full drawing pass: it is not what watching costs."""
    end = time.perf_counter() + 3.0
    while time.perf_counter() < end:
        tty.pump()


def press_keys(tty: Tty) -> list[float]:
    """Presses a key a second and waits for the screen to change.

    Returns:
        The seconds that each took.
    """
    took = []
    end = time.perf_counter() + SECONDS
    turn = 0
    while time.perf_counter() < end:
        before = tty.text()
        began = time.perf_counter()
        tty.send(KEYS[turn % len(KEYS)])
        turn += 1
        while tty.text() == before and time.perf_counter() - began < 2.0:
            tty.pump(0.001)
        took.append(time.perf_counter() - began)
        while time.perf_counter() - began < 1.0:
            tty.pump(0.01)
    return took


if __name__ == "__main__":
    main()
