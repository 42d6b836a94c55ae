"""The log of a run, for an overlay."""

from __future__ import annotations

from collections.abc import Sequence

from looptop.engine.runs.folder import RunFolder
from looptop.tui.screens.log_reader import LogReader
from looptop.tui.text import size
from looptop.tui.widgets.entries import Entry


class LogSource:
    """The log of a run.

    Args:
        run: The run.
    """

    id = "run-log"
    empty = "nothing was printed yet"

    def __init__(self, run: RunFolder) -> None:
        self.title = f"Log of {run.id}"
        self._reader = LogReader(run.log)

    @property
    def note(self) -> str:
        """Why it cannot be read, or how much of its beginning is left out."""
        left_out = self._reader.left_out
        return self._reader.trouble or (f"without its first {size(left_out)}" if left_out else "")

    @property
    def is_whole(self) -> bool:
        """Whether all that is read at most was read."""
        return self._reader.is_whole

    def read(self) -> Sequence[Entry]:
        """The entries."""
        return self._reader.poll()
