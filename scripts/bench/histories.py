"""Opening long histories: the time, bytes and memory until every chart is complete, beside W&B LEET.

Both programs draw on a pseudo-terminal of 200 by 60 that is read as fast as possible. A screen is complete when it no
longer changes. LEET gets the same numbers, logged offline by `wandb` itself, in an environment of its own.
"""

from __future__ import annotations

import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from scripts.bench.pairs import PAIRS
from tests.factories import histories
from tests.terminal.tty import PROGRAM, Tty

COLUMNS, ROWS = 200, 60
QUIET = 3.0
"""Seconds without output after which the screen counts as complete."""

LEET = Path("build/leet")
WANDB = "wandb==0.31.0"
METRICS, STEPS = 20, 50_000

LOG = """
import sys, wandb
sys.path.insert(0, sys.argv[1])
from tests.factories.histories import names, value
metrics, steps = int(sys.argv[2]), int(sys.argv[3])
settings = wandb.Settings(x_disable_stats=True, x_disable_meta=True, console="off", silent=True)
run = wandb.init(mode="offline", project="looptop", settings=settings)
keys = names(metrics)
for step in range(1, steps + 1):
    run.log({key: value(number, step, steps) for number, key in enumerate(keys)})
run.finish()
"""


@dataclass(frozen=True)
class Opening:
    """One opening of a history."""

    seconds: float
    """From the command until the screen no longer changes."""
    kilobytes: float
    """Written to the terminal until then."""
    megabytes: float
    """Resident memory then, child processes included."""
    screen: str


def opening(argv: list[str]) -> Opening:
    """Runs a program until its screen no longer changes, then ends it."""
    chunks: list[tuple[float, bytes]] = []
    began = time.perf_counter()
    with Tty(argv, cols=COLUMNS, rows=ROWS) as tty:
        last = began
        while time.perf_counter() - last < QUIET or not chunks:
            # Read directly: the terminal emulator is far slower than a terminal.
            if select.select([tty.fd], [], [], 0.05)[0]:
                chunks.append((time.perf_counter(), os.read(tty.fd, 65536)))
                last = chunks[-1][0]
        process = psutil.Process(tty.pid)
        resident = sum(each.memory_info().rss for each in [process, *process.children(recursive=True)])
    texts = []
    for _, data in chunks:
        tty.feed(data)
        texts.append(tty.text())
    complete = next(index for index, text in enumerate(texts) if all(later == texts[-1] for later in texts[index:]))
    bytes_so_far = sum(len(data) for _, data in chunks[: complete + 1])
    return Opening(chunks[complete][0] - began, bytes_so_far / 1000, resident / 1e6, texts[-1])


def median(openings: list[Opening]) -> str:
    """The medians of the openings, as text."""
    seconds, kilobytes, megabytes = (
        statistics.median(getattr(each, name) for each in openings) for name in ("seconds", "kilobytes", "megabytes")
    )
    return f"complete after {seconds:.2f} s, {kilobytes:.0f} KB written, {megabytes:.0f} MB resident"


def redraw_milliseconds(run_id: str) -> float:
    """Milliseconds to read a window of a metric's series and draw it at 120x30, as zooming does; the median of many."""
    from looptop.engine.journal.reader import Journal
    from looptop.engine.runs.folder import RunFolder
    from looptop.tui.plots.composing import RunCurves, compose
    from looptop.tui.plots.curves import FIRST
    from looptop.tui.plots.drawing import PlotArea, draw
    from looptop.tui.plots.spec import ChartSpec, Line
    from looptop.tui.plots.view import Span

    journal = Journal(RunFolder.find(run_id).db)
    name = histories.names(1)[0]
    spec = ChartSpec(name, name, (Line(name, "", FIRST),))
    last = (journal.last(name) or sys.exit("no such metric")).step
    took = []
    for turn in range(60):
        first = last * turn // 240
        began = time.perf_counter()
        series = journal.series(name, 220, first, last - first)
        draw(compose(spec, [RunCurves(run_id, {name: series})]), PlotArea(120, 30, Span(first, last - first)))
        took.append(time.perf_counter() - began)
    return 1000 * statistics.median(took)


def leet_opening(folder: Path) -> Opening:
    """Opens the same numbers in LEET."""
    return opening([str((LEET / "bin" / "wandb").absolute()), "leet", "run", str(folder)])


def leet_data(folder: Path) -> Path | None:
    """Logs the numbers with wandb and returns their folder; None if wandb cannot be installed."""
    if not (LEET / "bin" / "wandb").exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(LEET)], check=False).returncode == 0
        command = [str(LEET / "bin" / "pip"), "install", "--quiet", WANDB]
        if not made or subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode:
            return None
    script = folder / "log.py"
    script.write_text(LOG)
    words = [str((LEET / "bin" / "python").absolute()), str(script), str(Path.cwd()), str(METRICS), str(STEPS)]
    subprocess.run(words, check=True, cwd=folder, capture_output=True)
    return next((folder / "wandb").glob("offline-run-*"))


def main() -> None:
    """Prints the time, bytes and memory of opening; the goal is 2 s, 100 KB and less than 200 MB."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOOPTOP_HOME"] = home
        many, long = histories.make(METRICS, STEPS), histories.make(1, 5_000_000)
        folder = leet_data(Path(home))
        ours: dict[str, list[Opening]] = {many.id: [], long.id: []}
        theirs: list[Opening] = []
        for _ in range(PAIRS):
            for run_id, openings in ours.items():
                openings.append(opening([*PROGRAM, "attach", run_id]))
            if folder is not None:
                theirs.append(leet_opening(folder))
        assert "1/20" in ours[many.id][0].screen, "some charts are missing"
        assert f"to {histories.SPIKE:,.0f}" in ours[long.id][0].screen, "the spike of one step is not shown"
        print(f"histories: {METRICS} x {STEPS:,}: {median(ours[many.id])} (goal: 2 s, 100 KB, 200 MB)")
        print(f"histories: 1 x 5,000,000: {median(ours[long.id])} (goal: the same)")
        if theirs:
            print(f"histories: {METRICS} x {STEPS:,} in W&B LEET: {median(theirs)}")
        else:
            print("histories: wandb cannot be installed here, so W&B LEET is not measured")
        for run in (many, long):
            print(
                f"histories: {run.about().title}: redrawn at 120x30 in {redraw_milliseconds(run.id):.1f} ms (goal: 10)"
            )


if __name__ == "__main__":
    main()
