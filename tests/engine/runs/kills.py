"""Kills a process that writes its journal as fast as it can, and checks what is missing. Not a test by itself."""

from __future__ import annotations

import time
from pathlib import Path

from looptop.engine.journal.reader import Journal, JournalWriter
from tests.factories.processes import python, read_line

# The process also counts its steps in a file of its own, to compare the journal with.
WRITE_FAST = """
    import sys, time
    from pathlib import Path
    from looptop.engine.journal.reader import JournalWriter

    path, pace = Path(sys.argv[1]), float(sys.argv[2])
    writer = JournalWriter(path)
    with open(path.with_name("count.txt"), "wb", buffering=0) as side:
        print("ready", flush=True)
        step = 0
        while True:
            step += 1
            writer.metrics(step, {"loss": float(step), "grad_norm": 1.0})
            side.write(b"%d %f\\n" % (step, time.time()))
            if pace:
                time.sleep(pace)
"""


def kill_at(folder: Path, seconds: float, pace: float = 0.0) -> tuple[int, float]:
    """Kills a writer at a moment and checks its journal.

    Args:
        folder: Empty.
        seconds: When, after its first step.
        pace: Seconds that it waits after each step.

    Returns:
        How many steps are missing, and how many seconds before the kill the last step in the journal was added.

    Raises:
        AssertionError: The journal does not open, holds other values, or lacks more than 20 steps and a second.
    """
    path = folder / "run.db"
    process = python(WRITE_FAST, path, pace)
    assert read_line(process) == "ready"
    time.sleep(seconds)
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    counted = [line.split() for line in (folder / "count.txt").read_bytes().splitlines() if line.count(b" ") == 1]
    last, killed = (int(counted[-1][0]), float(counted[-1][1])) if counted else (0, 0.0)
    values = Journal(path).values("loss")
    assert [point.step for point in values] == list(range(1, len(values) + 1)), "the journal has holes"
    assert all(point.value == point.step for point in values), "the journal holds other values"
    missing = last - len(values)
    ago = killed - (values[-1].time if values else float(counted[0][1]) if counted else killed)
    assert missing <= 20 or ago <= 1.0, f"{missing} steps of {ago:.2f} s are missing"
    # The journal can also be continued, as by a resumed run.
    writer = JournalWriter(path)
    writer.metrics(len(values) + 1, {"loss": 0.0})
    assert writer.close(), "the journal cannot be continued"
    assert len(Journal(path).values("grad_norm")) == len(values)
    assert len(Journal(path).values("loss")) == len(values) + 1
    return missing, ago
