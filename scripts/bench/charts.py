"""Charts of a run that logs ten times a second, at 200 by 60: bytes to the terminal, and the time to answer a key."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from looptop.engine.config import preset
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.runs.folder import RunFolder, RunLock
from scripts.bench.keys import press, settle, spread
from tests.factories import histories
from tests.terminal.tty import Tty

COLUMNS, ROWS = 200, 60
LOGS_A_SECOND = 10
SECONDS = 30.0
"""How long bytes are counted."""
STEPS, TOTAL = 4_000, 5_000
"""Steps that the run has made before, and will make."""
ROUNDS = 6
REST = 0.3
"""Seconds to wait after a key, for what it still computes."""
LEFT, RIGHT = "\x1b[D", "\x1b[C"

# Each key changes the screen, whatever was pressed before.
KEYS = (
    LEFT,
    LEFT,
    RIGHT,
    "+",
    "+",
    ",",
    ".",
    "-",
    "s",
    "y",
    "y",
    "x",
    "x",
    "x",
    "\r",
    LEFT,
    "+",
    "\r",
    "0",
    "s",
    "s",
    "s",
)


@dataclass(frozen=True)
class Screen:
    """A screen with charts.

    Attributes:
        name: As it is printed.
        kind: The kind of run that it shows.
        metrics: How many metrics the run logs; 0 for those of a VQA run.
        focus: Keys that move the focus to the charts.
        complete: A text that is on the screen when it is complete.
    """

    name: str
    kind: str
    metrics: int
    focus: Sequence[str]
    complete: str


SCREENS = (
    Screen("Train", "vqa", 0, ("\t",), "Accuracy"),
    Screen("metrics, 20 charts", "trainer", 20, (), "1/20"),
)


def values(screen: Screen, step: int) -> Mapping[str, float]:
    """What the run logs of a step."""
    if screen.metrics:
        return {name: histories.value(at, step, TOTAL) for at, name in enumerate(histories.names(screen.metrics))}
    loss = histories.value(1, step, TOTAL)
    logged = {"loss": loss, "learning_rate": 1e-3, "epoch": step / 100, "grad_norm": loss, "samples_per_second": 900.0}
    if step % 100 == 0:
        logged |= {"eval_loss": loss, "eval_accuracy": min(1.0, step / TOTAL)}
    return logged


@contextlib.contextmanager
def logging_run(screen: Screen, logs_a_second: int) -> Iterator[RunFolder]:
    """A live run that logs while the block runs."""
    config = preset("tiny") if screen.kind == "vqa" else {"kind": "trainer", "name": "a run that logs"}
    run = RunFolder.create(screen.kind, config)
    with RunLock(run.lock, run.id):
        writer = JournalWriter(run.db)
        began = time.time() - STEPS * 0.1
        writer.state(RunState.RUNNING, time=began)
        writer.facts(total_steps=TOTAL)
        for step in range(1, STEPS + 1):
            writer.metrics(step, dict(values(screen, step)), began + step * 0.1)
        writer.flush()
        over = threading.Event()

        def log() -> None:
            step = STEPS
            while not over.wait(1 / logs_a_second):
                step += 1
                writer.metrics(step, dict(values(screen, step)))

        thread = threading.Thread(target=log)
        if logs_a_second:
            thread.start()
        try:
            yield run
        finally:
            over.set()
            if logs_a_second:
                thread.join()
            writer.close()


@contextlib.contextmanager
def shown(screen: Screen, run: RunFolder) -> Iterator[Tty]:
    """The run on its screen, with the focus on the charts."""
    from tests.terminal.tty import PROGRAM

    with Tty([*PROGRAM, "attach", run.id], cols=COLUMNS, rows=ROWS) as tty:
        tty.until(screen.complete)
        settle(tty)
        for key in screen.focus:
            tty.send(key)
        settle(tty)
        yield tty
        tty.send("q")
        tty.until_gone()


def bytes_a_second(tty: Tty) -> float:
    """Bytes a second that the program sends while nobody touches a key."""
    sent, begin = 0, time.perf_counter()
    while (left := begin + SECONDS - time.perf_counter()) > 0:
        sent += len(tty.read(min(left, 0.2)) or b"")
    return sent / (time.perf_counter() - begin)


def cpu_milliseconds(pid: int) -> float:
    """The CPU time of all threads of a process so far."""
    took = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            took += int((task / "schedstat").read_text().split()[0])
    return took / 1e6


def timed(tty: Tty, key: str) -> tuple[float, float]:
    """Presses a key; returns the seconds until the screen changes, and the program's CPU time until then.

    The CPU time is what the key would take on a machine with nothing else to do.
    """
    before = cpu_milliseconds(tty.pid)
    took = press(tty, key, rest=0.0)
    cpu = (cpu_milliseconds(tty.pid) - before) / 1000
    settled = time.perf_counter() + REST
    while time.perf_counter() < settled:
        tty.pump(0.01)
    return took, cpu


def main() -> None:
    """Prints the bytes and the times; the goals are 30 KiB/s, 50 ms, and 100 ms while the run logs."""
    for screen in SCREENS:
        with tempfile.TemporaryDirectory() as home:
            os.environ["LOOPTOP_HOME"] = home
            with logging_run(screen, LOGS_A_SECOND) as run, shown(screen, run) as tty:
                rate = bytes_a_second(tty) / 1024
                print(f"charts: {screen.name}: {rate:.1f} KiB/s at 200x60 (goal: at most 30)", flush=True)
            for logs, goal in ((0, 50), (LOGS_A_SECOND, 100)):
                with logging_run(screen, logs) as run, shown(screen, run) as tty:
                    took, cpu = zip(*[timed(tty, key) for _ in range(ROUNDS) for key in KEYS], strict=True)
                when = "while the run logs" if logs else "while the run logs nothing"
                print(f"charts: {screen.name}: a key {when}: {spread(list(took))} (goal: {goal} ms)", flush=True)
                print(f"charts: {screen.name}: the same in CPU time: {spread(list(cpu))}", flush=True)


if __name__ == "__main__":
    main()
