"""The list below the form of a new run: the runs that its screen shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import on
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from looptop.engine.journal.records import RunSummary
from looptop.tui.run_text import run_list_lines
from looptop.tui.widgets.options import Options


class RunList(Options):
    """A line for each run that it is given; enter opens it."""

    def __init__(self) -> None:
        super().__init__(id="runs")
        self.border_title = "Runs"
        self.on_open: Callable[[str | None], object] = lambda _run_id: None
        """Called with the id of the run that the person chooses."""
        self._listed: Sequence[RunSummary] | None = None

    def show(self, summaries: Sequence[RunSummary]) -> None:
        """Lists runs; the cursor stays on its run, if that is still listed."""
        if summaries == self._listed:
            return
        self._listed = summaries
        cursor = self.highlighted_option.id if self.highlighted_option is not None else None
        options = [Option(line, id=each.id) for each, line in zip(summaries, run_list_lines(summaries), strict=True)]
        empty_line = Option(Content.styled("no runs here yet: ^s starts one", "$text-muted"), disabled=True)
        self.set_options(options or [empty_line])
        if cursor is not None and any(each.id == cursor for each in summaries):
            self.highlighted = self.get_option_index(cursor)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.on_open(event.option.id)
