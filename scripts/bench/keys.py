"""Presses keys in the real program and measures how soon the screen changes."""

from __future__ import annotations

import statistics
import time

from pyte.screens import Char

from tests.terminal.tty import Tty

LONGEST = 2.0
"""Seconds after which it is an error that a key has changed nothing."""
REST = 0.15
"""Seconds to wait after a change, so that further output of this key does not count for the next one."""


def press(tty: Tty, key: str, rest: float = REST) -> float:
    """Presses a key and waits until any cell of the screen changes.

    Args:
        tty: The terminal.
        key: The key, as a terminal sends it.
        rest: Seconds to wait after the change.

    Returns:
        The seconds until then, with the time that reading the screen takes itself.
    """
    before = cells_of(tty)
    tty.screen.dirty.clear()
    began = time.perf_counter()
    tty.send(key)
    while not any(_line(tty, y) != before[y] for y in tty.screen.dirty):
        tty.screen.dirty.clear()
        tty.pump(0.001)
        if time.perf_counter() - began > LONGEST:
            raise AssertionError(f"nothing changed for {key!r}:\n{tty.text()}")
    took = time.perf_counter() - began
    while time.perf_counter() - began < took + rest:
        tty.pump(0.01)
    return took


def cells_of(tty: Tty) -> list[list[Char]]:
    """All cells of the screen, with their colours."""
    return [_line(tty, y) for y in range(tty.screen.lines)]


def _line(tty: Tty, y: int) -> list[Char]:
    """The cells of a line, with their colours."""
    line = tty.screen.buffer[y]
    return [line[x] for x in range(tty.screen.columns)]


def settle(tty: Tty) -> None:
    """Waits for the first full drawing, which is not part of a key's time."""
    end = time.perf_counter() + 3.0
    while time.perf_counter() < end:
        tty.pump()


def spread(took: list[float]) -> str:
    """The median and the 95th percentile, as text."""
    ordered = sorted(took)
    return (
        f"{statistics.median(ordered) * 1e3:.0f} ms,"
        f" {ordered[int(0.95 * len(ordered))] * 1e3:.0f} ms at the 95th percentile of {len(ordered)}"
    )
