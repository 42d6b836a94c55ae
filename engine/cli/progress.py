"""How far something is, on stderr: one line that is drawn over on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from looptop.engine.machine.terminal import can_draw
from looptop.engine.text import visible

SECONDS_BETWEEN_LINES = 5.0
BAR_CELLS = 24


@dataclass(frozen=True)
class Reading:
    """How far something is."""

    name: str
    """Of what: a run's id."""
    phase: str
    """What it does; where it is said, a line is due when it changes."""
    fraction: float
    """How much of it is done, from 0 to 1."""
    words: Sequence[str]
    """What else is known, in the order of its weight; may be what the phase is."""


class Progress:
    """Shows readings as lines of text, one every few seconds and one whenever the phase changes."""

    def __init__(self, stream: TextIO, seconds: float = SECONDS_BETWEEN_LINES) -> None:
        self.stream = stream
        self.seconds = seconds
        self._said = time.monotonic()
        self._phase = ""
        self._words: Sequence[str] = ()

    def show(self, reading: Reading) -> None:
        """Takes a reading and shows it when it is time."""
        now = time.monotonic()
        due = now - self._said >= self.seconds and reading.words != self._words
        if due or reading.phase != self._phase:
            self._said, self._phase, self._words = now, reading.phase, reading.words
            self.note("  ".join([reading.name, *reading.words]))

    def note(self, line: str) -> None:
        """Shows a line that stays."""
        self._write(visible(line) + "\n")

    def ring(self) -> None:
        """Calls for attention, where there is a terminal that can."""

    def close(self) -> None:
        """Leaves the terminal as it was."""

    def _write(self, text: str) -> None:
        # The terminal may go away while the run goes on; that is no reason to leave the run unwatched.
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(text)
            self.stream.flush()


class Bar(Progress):
    """Shows readings as one line that is drawn over."""

    def show(self, reading: Reading) -> None:
        """Draws the line anew."""
        width = shutil.get_terminal_size().columns
        with contextlib.suppress(OSError, ValueError):
            width = os.get_terminal_size(self.stream.fileno()).columns or width  # 0: it does not say
        filled = int(reading.fraction * BAR_CELLS)
        bar = f"[{'#' * filled}{'.' * (BAR_CELLS - filled)}] {100 * reading.fraction:3.0f} %"
        parts = [reading.name, bar, *reading.words]
        while len(parts) > 2 and len("  ".join(parts)) >= width:
            parts.pop()
        self._write("\r" + visible("  ".join(parts))[: max(0, width - 1)] + "\x1b[K")

    def note(self, line: str) -> None:
        """Shows a line that stays, above the one that is drawn over."""
        self._write(f"\r{visible(line)}\x1b[K\n")

    def ring(self) -> None:
        """Rings the bell."""
        self._write("\a")

    def close(self) -> None:
        """Wipes the line."""
        self._write("\r\x1b[K")


def progress_on(stream: TextIO) -> Progress:
    """What suits the stream: a bar on a terminal that can draw over a line, lines elsewhere."""
    if stream.isatty() and can_draw():
        return Bar(stream)
    return Progress(stream)
