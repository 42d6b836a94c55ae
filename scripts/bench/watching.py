"""Watching a run that trains: the app's CPU time, the run's loss of speed, and the time to answer a key."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import NamedTuple

import psutil

from looptop.engine import config
from looptop.engine.journal.reader import Journal
from looptop.engine.runs import control
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.host import launch
from scripts.bench.keys import cells_of, settle, spread
from scripts.bench.turns import Turn, ratio_of, seconds_a_step, turn
from tests.support import eventually
from tests.terminal.tty import PROGRAM, Tty

STEADY = 120.0
"""Seconds in which the app's CPU time and its keys are measured."""

SECONDS = 5.0
"""The length of each turn, with or without the app."""

TURNS = 24
"""Turns with the app, and as many without."""

CATCHING_UP = 1.5
"""Seconds for the app to show what it has missed."""


@dataclass(frozen=True)
class Watched:
    """A kind of run, and the screen that it is watched on.

    Attributes:
        name: The kind of run, as it is printed.
        screen: The screen's key.
        endless: Settings that keep the run from ending, and each step equally long.
        warm: Steps before the measurement begins.
        keys: Keys that redraw all curves, the most expensive keys of the screen.
    """

    name: str
    screen: str
    endless: Sequence[str]
    warm: int
    keys: Sequence[str]


VQA = Watched("vqa", "2", ("num_train_epochs=100000", "eval_steps=1000000"), 20, ("s", "y"))
PPO = Watched("ppo", "3", ("max_steps=1000000", "eval_steps=1000000", "learning_rate=1e-12"), 10, ("w",))
"""The learning rate is tiny, because a policy that learns writes shorter responses in less time."""


def main() -> None:
    """Prints the app's share of a core, the run's speed as a share of its speed alone, and the time of keys."""
    for kind in (VQA, PPO):
        with tempfile.TemporaryDirectory() as home:
            os.environ["LOOPTOP_HOME"] = home
            folder = launch(config.override(config.preset("tiny", kind.name), kind.endless))
            try:
                eventually(lambda folder=folder, kind=kind: steps(folder) > kind.warm, limit=300)  # type: ignore[misc]
                report(folder, kind)
            finally:
                control.send(folder, "stop", by="bench", checkpoint=False)
                eventually(lambda folder=folder: not folder.is_live())  # type: ignore[misc]


def report(folder: RunFolder, kind: Watched) -> None:
    """Watches for a while, then measures `TURNS` alternating turns: with the app stopped by a signal, and watching."""
    turns: list[tuple[Turn, Turn]] = []
    with Tty(PROGRAM, cols=160, rows=48) as tty:
        # The answering process takes CPU time only while it starts.
        tty.until("bundled · ready")
        tty.send(kind.screen)
        tty.until(f"{folder.id}.*running")
        settle(tty)
        process = psutil.Process(tty.pid)
        before, began = sum(process.cpu_times()[:2]), time.perf_counter()
        pressed = press_keys(tty, kind.keys, STEADY)
        share = (sum(process.cpu_times()[:2]) - before) / (time.perf_counter() - began)
        latencies = [answered(tty, key) for key in pressed]
        for _ in range(TURNS):
            process.suspend()
            unwatched = turn(SECONDS)
            process.resume()
            catch_up(tty)
            resumed = time.time()
            press_keys(tty, kind.keys, SECONDS)
            turns.append((Turn(resumed, time.time()), unwatched))
        tty.send("q")
        tty.until_gone()
    ends = [point.time for point in Journal(folder.db).values("loss")]
    watched, unwatched_seconds = (seconds_a_step(ends, side) for side in zip(*turns, strict=True))
    name = f"watching {kind.name}"
    print(f"{name}: training keeps {ratio_of(watched, unwatched_seconds)} of its headless speed")
    print(f"{name}: the app takes {share:.1%} of a core")
    print(f"{name}: a key is answered in {spread(latencies)} (goal: 100 ms)", flush=True)


def catch_up(tty: Tty) -> None:
    """Lets the app show what it has missed, which is not part of the cost of watching."""
    end = time.perf_counter() + CATCHING_UP
    while (left := end - time.perf_counter()) > 0:
        tty.read(left)


def steps(folder: RunFolder) -> int:
    """The steps that a run has made."""
    point = Journal(folder.db).last("loss")
    return point.step if point else 0


class Pressed(NamedTuple):
    """When a key was pressed, and the output from then until the next key."""

    time: float
    output: list[tuple[float, bytes]]
    """Pieces of output, each with the time when it was read."""


def press_keys(tty: Tty, keys: Sequence[str], seconds: float) -> list[Pressed]:
    """Presses one key a second.

    The output is only read, as an SSH server would read it, and not shown: a person's terminal is on another machine
    and takes no CPU time from the training.
    """
    pressed = []
    end = time.perf_counter() + seconds
    for key in cycle(keys):
        now = Pressed(time.perf_counter(), [])
        if now.time > end:
            break
        tty.send(key)
        pressed.append(now)
        while (left := now.time + 1.0 - time.perf_counter()) > 0:
            data = tty.read(left) or b""
            now.output.append((time.perf_counter(), data))
    return pressed


def answered(tty: Tty, key: Pressed) -> float:
    """Shows the output after a key; returns the seconds until any cell of the screen changed.

    Args:
        tty: The terminal as it was before the key.
        key: See `Pressed`.
    """
    before, took = cells_of(tty), None
    for read_at, data in key.output:
        tty.feed(data)
        if took is None and cells_of(tty) != before:
            took = read_at - key.time
    if took is None:
        raise AssertionError(f"nothing changed for a key:\n{tty.text()}")
    return took


if __name__ == "__main__":
    main()
