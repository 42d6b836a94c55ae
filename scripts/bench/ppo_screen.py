"""The PPO screen: how soon a large run is on it, how soon a key is answered, what it holds, what a run loses by it."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable

import psutil

from looptop.engine import config
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.runs import control
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.host import launch
from scripts.bench.pairs import PAIRS, Ratio
from scripts.bench.watching import settle
from scripts.make_ppo_run import Maker, make_run
from tests.support import eventually
from tests.terminal.tty import PROGRAM, Tty

BATCHES, SAMPLES, TOKENS = 2000, 64, 64
SIZE = (160, 48)
ROUNDS = 12
SECONDS = 20.0
"""Length of each watched and each unwatched stretch of a run that trains."""

DOWN, UP, RIGHT, END, PAGE_UP = "\x1b[B", "\x1b[A", "\x1b[C", "\x1b[F", "\x1b[5~"

# Each changes the screen, whatever came before it.
RUN_KEYS = (UP, UP, PAGE_UP, "p", "n", "w", "]", "z", UP, "z", END)
BATCH_KEYS = (DOWN, RIGHT, "]", "[", "t", "t", "p", "n", DOWN, "/", "r", "e", "w", "a", "r", "d", "<", "0", "\r", "/")
SAMPLE_KEYS = ("n", "p", "\r", RIGHT, "v", RIGHT, "V", "t", DOWN, "t", "\x1b")


def main() -> None:
    """Prints the figures of the issue."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOOPTOP_HOME"] = home
        began = time.perf_counter()
        run = make_run(Maker(BATCHES, SAMPLES, TOKENS, full=True))
        took = time.perf_counter() - began
        tokens = BATCHES * SAMPLES * TOKENS / 1e6
        print(
            f"ppo screen: {tokens:.1f} million tokens, {run.db.stat().st_size / 2**20:,.0f} MiB, made in {took:.0f} s"
        )
        large(run)
        trains()


def large(run: RunFolder) -> None:
    """Opening, keys and memory on the large run."""
    opened: list[float] = []
    keys: dict[str, list[float]] = {"run": [], "batch": [], "sample and tokens": []}
    held: list[float] = []
    for turn in range(3):
        with Tty(PROGRAM, cols=SIZE[0], rows=SIZE[1]) as tty:
            tty.until("bundled · ready")
            tty.send("\x1b")
            tty.until("q quit")
            tty.send("3")
            tty.until(run.id)
            settle(tty)
            process = psutil.Process(tty.pid)
            idle = process.memory_info().rss
            tty.send("\x1b")
            tty.until("q quit")
            tty.send("o")
            tty.until("Choose a PPO run")
            tty.until(f"{run.id} +.*2,000/2,000")
            began = time.perf_counter()
            tty.send("\r")
            tty.until(r"quality +\d(?s:.*)1,999 +-?\d(?s:.*)2,000 +-?\d")
            opened.append(time.perf_counter() - began)
            settle(tty)
            rounds = ROUNDS if turn == 0 else 2
            for _ in range(rounds):
                keys["run"] += [press(tty, key) for key in RUN_KEYS]
                tty.send("\r")
                tty.until("of 64 samples")
                settle(tty)
                keys["batch"] += [press(tty, key) for key in BATCH_KEYS]
                tty.send("\x15\r")
                tty.until("64 of 64 samples")
                tty.send("\r")
                tty.until("Reference")
                settle(tty)
                keys["sample and tokens"] += [press(tty, key) for key in SAMPLE_KEYS]
                tty.send("\x1b")
                tty.until("of 64 samples")
                tty.send("\x1b")
                tty.until("batch reward")
                settle(tty)
            held.append((process.memory_info().rss - idle) / 2**20)
            tty.send("q")
            tty.until_gone()
    print(f"ppo screen: complete {statistics.median(opened):.2f} s after it was chosen (goal: 1 s)")
    for where, took in keys.items():
        took.sort()
        print(
            f"ppo screen: {where}: a key is answered in {statistics.median(took) * 1e3:.0f} ms,"
            f" {took[int(0.95 * len(took))] * 1e3:.0f} ms at the 95th percentile of {len(took)} (goal: 50 ms)"
        )
    print(f"ppo screen: holds {max(held):.0f} MiB above the idle app (goal: 150)")


def trains() -> None:
    """What it costs to watch a run that trains."""
    folder = launch(config.override(config.preset("tiny", "ppo"), ["max_steps=1000000", "eval_steps=1000000"]))
    try:
        eventually(lambda: done(folder) > 10, limit=300)
        watched_run(folder)
    finally:
        if folder.is_live():
            control.send(folder, "stop", by="bench", checkpoint=False)
            eventually(lambda: not folder.is_live())


def watched_run(folder: RunFolder) -> None:
    """Measures `PAIRS` alternating stretches, watched and not."""
    shares: list[float] = []
    ratios: list[float] = []
    latencies: list[float] = []
    for _ in range(PAIRS):
        alone = speed(folder, lambda: time.sleep(SECONDS))
        with Tty(PROGRAM, cols=SIZE[0], rows=SIZE[1]) as tty:
            tty.until("bundled · ready")
            tty.send("\x1b")
            tty.until("q quit")
            tty.send("3")
            tty.until(f"{folder.id}.*running")
            settle(tty)
            process = psutil.Process(tty.pid)
            before, began = sum(process.cpu_times()[:2]), time.perf_counter()
            watched = speed(folder, lambda tty=tty: latencies.extend(watch(tty)))
            shares.append((sum(process.cpu_times()[:2]) - before) / (time.perf_counter() - began))
            tty.send("q")
            tty.until_gone()
        ratios.append(watched / alone)
    ratio = Ratio(statistics.median(ratios), min(ratios), max(ratios), 0.0, 0.0)
    latencies.sort()
    print(f"ppo screen: training keeps {ratio} of its headless speed (goal: at least 0.95)")
    print(f"ppo screen: the app takes {statistics.median(shares):.1%} of a core (goal: at most 5 %)")
    print(
        f"ppo screen: a key is answered in {statistics.median(latencies) * 1e3:.0f} ms,"
        f" {latencies[int(0.95 * len(latencies))] * 1e3:.0f} ms at the 95th percentile of {len(latencies)}"
        " (goal: 100 ms)"
    )


def done(folder: RunFolder) -> int:
    """Batches that the run has made."""
    return PpoJournal(folder.db).batch_span()[1]


def speed(folder: RunFolder, meanwhile: Callable[[], object]) -> float:
    """Batches a second while something else is done, by the times that the run journalled."""
    first = done(folder)
    meanwhile()
    points = PpoJournal(folder.db).values("loss", after_step=first)
    return (len(points) - 1) / (points[-1].time - points[0].time)


def watch(tty: Tty) -> list[float]:
    """Presses a key a second."""
    took = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        began = time.perf_counter()
        took.append(press(tty, "w"))
        while time.perf_counter() - began < 1.0:
            tty.pump(0.01)
    return took


def press(tty: Tty, key: str) -> float:
    """Presses a key and waits for the screen to change.

    Returns:
        The seconds that took.
    """
    before = tty.text(), attributes(tty)
    began = time.perf_counter()
    tty.send(key)
    while (tty.text(), attributes(tty)) == before and time.perf_counter() - began < 2.0:
        tty.pump(0.001)
    took = time.perf_counter() - began
    if took >= 2.0:
        raise AssertionError(f"nothing changed for {key!r}:\n{tty.text()}")
    # What follows the first change is let through, so that it is not taken for the next key's.
    while time.perf_counter() - began < took + 0.15:
        tty.pump(0.01)
    return took


def attributes(tty: Tty) -> int:
    """A number that changes when only colours do."""
    return hash(tuple((char.bg, char.fg) for line in tty.screen.buffer.values() for char in line.values()))


if __name__ == "__main__":
    main()
