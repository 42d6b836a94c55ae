"""The time until the app's Ask screen is complete, against the first screen of an empty Textual app; and the time until
the first answer.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time

from scripts.bench.pairs import paired
from tests.terminal.tty import PROGRAM, Tty

ANSWERS = 5
"""How often the first answer is timed."""

EMPTY = (
    "from textual.app import App\nfrom textual.widgets import Static\n"
    "class Empty(App):\n    def compose(self):\n        yield Static('empty')\n"
    "Empty().run()"
)
FULL_SCREEN = r"0\.png"
"""The name under the picture, which is drawn last."""


def seconds_to(pattern: str, argv: list[str]) -> float:
    """Seconds from the command until the screen shows the pattern."""
    began = time.perf_counter()
    with Tty(argv) as tty:
        tty.until(pattern)
        return time.perf_counter() - began


def seconds_to_answer() -> float:
    """Seconds from the command until the bundled model's first answer; the question is typed as soon as it can be."""
    began = time.perf_counter()
    with Tty(PROGRAM) as tty:
        tty.until(FULL_SCREEN)
        tty.send("awhat shape is it?\r")
        tty.until("confidence")
        return time.perf_counter() - began


def main() -> None:
    """Prints the ratio (the goal is at most 2.5) and the time to the first answer (the goal is at most 4 s)."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOOPTOP_HOME"] = home
        ratio = paired(
            lambda: seconds_to(FULL_SCREEN, PROGRAM), lambda: seconds_to("empty", [sys.executable, "-c", EMPTY])
        )
    print(
        f"opening: {ratio} times an empty Textual app's first screen; {ratio.ours:.2f} s against {ratio.peer:.2f} s"
        " (goal: at most 2.5)"
    )
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOOPTOP_HOME"] = home
        answers = sorted(seconds_to_answer() for _ in range(ANSWERS))
    print(
        f"opening: the first answer after {statistics.median(answers):.1f} s, the slowest of {ANSWERS} after"
        f" {answers[-1]:.1f} s (goal: at most 4, on two idle cores)"
    )


if __name__ == "__main__":
    main()
