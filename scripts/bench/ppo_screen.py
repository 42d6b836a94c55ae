"""The PPO screen with a large run: the time to open it, the time to answer a key, and its memory."""

from __future__ import annotations

import os
import statistics
import tempfile
import time

import psutil

from looptop.engine.runs.folder import RunFolder
from scripts.bench.keys import press, settle, spread
from tests.factories.synthetic_ppo import Maker, make_run
from tests.terminal.tty import PROGRAM, Tty

BATCHES, SAMPLES, TOKENS = 2000, 64, 64
SIZE = (160, 48)
ROUNDS = 12
DOWN, UP, RIGHT, END, PAGE_UP = "\x1b[B", "\x1b[A", "\x1b[C", "\x1b[F", "\x1b[5~"

# Each key changes the screen, whatever was pressed before.
RUN_KEYS = (UP, UP, PAGE_UP, "p", "n", "w", "]", "z", UP, "z", END)
BATCH_KEYS = (DOWN, RIGHT, "]", "[", "t", "t", "p", "n", DOWN, "/", "r", "e", "w", "a", "r", "d", "<", "0", "\r", "/")
SAMPLE_KEYS = ("n", "p", "\r", RIGHT, "v", RIGHT, "V", "t", DOWN, "t", "\x1b")


def main() -> None:
    """Prints the figures."""
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


def large(run: RunFolder) -> None:
    """Measures opening, keys and memory on the large run."""
    opened: list[float] = []
    keys: dict[str, list[float]] = {"run": [], "batch": [], "sample and tokens": []}
    memory: list[float] = []
    for turn in range(3):
        with Tty(PROGRAM, cols=SIZE[0], rows=SIZE[1]) as tty:
            tty.until("bundled · ready")
            tty.send("3")
            tty.until(run.id)
            settle(tty)
            process = psutil.Process(tty.pid)
            idle = process.memory_info().rss
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
            memory.append((process.memory_info().rss - idle) / 2**20)
            tty.send("q")
            tty.until_gone()
    print(f"ppo screen: complete {statistics.median(opened):.2f} s after it was chosen (goal: 1 s)")
    for page, took in keys.items():
        print(f"ppo screen: {page}: a key is answered in {spread(took)} (goal: 50 ms)")
    print(f"ppo screen: takes {max(memory):.0f} MiB above the idle app (goal: 150)")


if __name__ == "__main__":
    main()
