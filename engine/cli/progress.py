"""Shows progress on stderr: on a terminal one line that is redrawn, elsewhere a new line every few seconds."""

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
class Status:
    """How far a run or a command is."""

    name: str
    """The run's id, or what the command does."""
    phase: str
    """The current activity, not shown itself; where lines are not redrawn, a change shows a new one immediately."""
    fraction: float
    """How much is done, from 0 to 1."""
    details: Sequence[str]
    """What else is known, the most important first; may repeat the phase."""


class Progress:
    """Shows the status as lines of text: one every few seconds if the details have changed, and one whenever the phase
    changes.
    """

    def __init__(self, stream: TextIO, seconds: float = SECONDS_BETWEEN_LINES) -> None:
        self.stream = stream
        self.seconds = seconds
        self._last_shown = time.monotonic()
        self._phase = ""
        self._details: Sequence[str] = ()

    def show(self, status: Status) -> None:
        """Shows the status if a line is due."""
        now = time.monotonic()
        due = now - self._last_shown >= self.seconds and status.details != self._details
        if due or status.phase != self._phase:
            self._last_shown, self._phase, self._details = now, status.phase, status.details
            self.note("  ".join([status.name, *status.details]))

    def note(self, line: str) -> None:
        """Shows a line that stays."""
        self._write(visible(line) + "\n")

    def ring(self) -> None:
        """Does nothing; a `Bar` rings the bell."""

    def close(self) -> None:
        """Removes what is not to stay on the terminal."""

    def _write(self, text: str) -> None:
        # The terminal may close while the run continues; that is no reason to stop watching the run.
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(text)
            self.stream.flush()


class Bar(Progress):
    """Shows the status as one line that is redrawn."""

    def show(self, status: Status) -> None:
        """Redraws the line."""
        width = shutil.get_terminal_size().columns
        with contextlib.suppress(OSError, ValueError):
            width = os.get_terminal_size(self.stream.fileno()).columns or width  # 0 if it is not known
        filled = int(status.fraction * BAR_CELLS)
        bar = f"[{'#' * filled}{'.' * (BAR_CELLS - filled)}] {100 * status.fraction:3.0f} %"
        parts = [status.name, bar, *status.details]
        while len(parts) > 2 and len("  ".join(parts)) >= width:
            parts.pop()
        self._write("\r" + visible("  ".join(parts))[: max(0, width - 1)] + "\x1b[K")

    def note(self, line: str) -> None:
        """Shows a line that stays, above the one that is redrawn."""
        self._write(f"\r{visible(line)}\x1b[K\n")

    def ring(self) -> None:
        """Rings the bell."""
        self._write("\a")

    def close(self) -> None:
        """Erases the line."""
        self._write("\r\x1b[K")


def progress_on(stream: TextIO) -> Progress:
    """The progress display for a stream: a bar on a terminal that can redraw a line, lines elsewhere."""
    if stream.isatty() and can_draw():
        return Bar(stream)
    return Progress(stream)
