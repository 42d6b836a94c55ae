"""The log of a run, as an overlay."""

from __future__ import annotations

from looptop.engine.runs.folder import RunFolder
from looptop.tui.screens.entries import Entries
from looptop.tui.screens.log_reader import LogReader
from looptop.tui.text import size


class Log(Entries):
    """The log of a run.

    Args:
        run: The run.
    """

    def __init__(self, run: RunFolder) -> None:
        reader = LogReader(run.log)

        def note() -> str:
            return reader.trouble or (f"without its first {size(reader.left_out)}" if reader.left_out else "")

        super().__init__(f"Log of {run.id}", reader.poll, "nothing was printed yet", note, lambda: reader.is_whole)
