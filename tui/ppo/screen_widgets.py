"""The widgets of the PPO screen: two lines at the top, a line to type in, and the pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from textual.widget import Widget

from looptop.tui.forms.new_run import NewRunForm
from looptop.tui.ppo.batch_page import BatchPage
from looptop.tui.ppo.before_after_page import BeforeAfterPage
from looptop.tui.ppo.run_page import RunPage
from looptop.tui.ppo.sample_page import SamplePage
from looptop.tui.ppo.token_page import TokenPage
from looptop.tui.widgets.input_line import InputLine
from looptop.tui.widgets.panel import Panel

Level = Literal["form", "run", "batch", "sample", "tokens", "compare"]


class PpoWidgets:
    """Makes and holds the widgets of the PPO screen; shows the page of one level at a time."""

    def __init__(self) -> None:
        self.crumbs = Panel(id="crumbs")
        self.status_line = Panel(id="status-line")
        self.input_line = InputLine(id="input-line")
        self.form = NewRunForm("ppo")
        self.run_page = RunPage()
        self.batch_page = BatchPage()
        self.sample_page = SamplePage()
        self.token_page = TokenPage()
        self.before_after_page = BeforeAfterPage()
        self._pages: dict[Level, Widget] = {
            "form": self.form,
            "run": self.run_page,
            "batch": self.batch_page,
            "sample": self.sample_page,
            "tokens": self.token_page,
            "compare": self.before_after_page,
        }

    def __iter__(self) -> Iterator[Widget]:
        """The two lines at the top, the input line and the pages, as the screen composes them."""
        yield self.crumbs
        yield self.status_line
        yield self.input_line
        yield from self._pages.values()

    def show(self, level: Level) -> None:
        """Shows the page of a level and no other; the two lines at the top are hidden over the form."""
        for name, page in self._pages.items():
            page.display = name == level
        self.crumbs.display = self.status_line.display = level != "form"

    def focus_target(self, level: Level) -> Widget:
        """The widget that gets the focus on the page of a level."""
        match level:
            case "form":
                return self.form.table
            case "run":
                return self.run_page.query_one("#batches")
            case "batch":
                return self.batch_page.table
            case "sample":
                return self.sample_page.query_one("#response")
            case "tokens":
                return self.token_page.focus_target
        return self.before_after_page.pairs_table
