"""Kills a process that writes its journal as fast as it can, and looks at what is missing. No test by itself."""

from __future__ import annotations

import time
from pathlib import Path

from looptop.engine.journal.reader import Journal, JournalWriter
from tests.factories.processes import python, read_line

# The process counts for itself what it has said, so that nothing is taken on the journal's word.
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
        How many steps are missing, and how many seconds before its death the last one was said that is there.

    Raises:
        AssertionError: The journal does not open, holds what was not said, or lacks more than 20 steps and a second.
    """
    path = folder / "run.db"
    process = python(WRITE_FAST, path, pace)
    assert read_line(process) == "ready"
    time.sleep(seconds)
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    said = [line.split() for line in (folder / "count.txt").read_bytes().splitlines() if line.count(b" ") == 1]
    last, killed = (int(said[-1][0]), float(said[-1][1])) if said else (0, 0.0)
    values = Journal(path).values("loss")
    assert [point.step for point in values] == list(range(1, len(values) + 1)), "the journal has holes"
    assert all(point.value == point.step for point in values), "the journal holds other values"
    missing = last - len(values)
    ago = killed - (values[-1].time if values else float(said[0][1]) if said else killed)
    assert missing <= 20 or ago <= 1.0, f"{missing} steps of {ago:.2f} s are missing"
    # It is not only readable: the next life of the run writes on where it was.
    writer = JournalWriter(path)
    writer.metrics(len(values) + 1, {"loss": 0.0})
    assert writer.close(), "the journal cannot be written on"
    assert len(Journal(path).values("grad_norm")) == len(values)
    assert len(Journal(path).values("loss")) == len(values) + 1
    return missing, ago
