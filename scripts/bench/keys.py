"""Keys on the real program: how soon the screen answers one."""

from __future__ import annotations

import statistics
import time

from pyte.screens import Char

from tests.terminal.tty import Tty

LONGEST = 2.0
"""Seconds after which a key that changed nothing is an error."""
REST = 0.15
"""Seconds after an answer in which what else the key does comes: it is not taken for the next key's."""


def press(tty: Tty, key: str) -> float:
    """Presses a key and waits until any cell of the screen looks different.

    Returns:
        The seconds that took, with those that the screen's reader takes itself.
    """
    before = look_of(tty)
    tty.screen.dirty.clear()
    began = time.perf_counter()
    tty.send(key)
    while not any(_line(tty, y) != before[y] for y in tty.screen.dirty):
        tty.screen.dirty.clear()
        tty.pump(0.001)
        if time.perf_counter() - began > LONGEST:
            raise AssertionError(f"nothing changed for {key!r}:\n{tty.text()}")
    took = time.perf_counter() - began
    while time.perf_counter() - began < took + REST:
        tty.pump(0.01)
    return took


def look_of(tty: Tty) -> list[list[Char]]:
    """All cells of the screen, with their colours."""
    return [_line(tty, y) for y in range(tty.screen.lines)]


def _line(tty: Tty, y: int) -> list[Char]:
    """The cells of a line, with their colours."""
    line = tty.screen.buffer[y]
    return [line[x] for x in range(tty.screen.columns)]


def settle(tty: Tty) -> None:
    """Lets the first full drawing pass: it is not what a key costs."""
    end = time.perf_counter() + 3.0
    while time.perf_counter() < end:
        tty.pump()


def spread(took: list[float]) -> str:
    """The median and the 95th percentile, in words."""
    ordered = sorted(took)
    return (
        f"{statistics.median(ordered) * 1e3:.0f} ms,"
        f" {ordered[int(0.95 * len(ordered))] * 1e3:.0f} ms at the 95th percentile of {len(ordered)}"
    )
