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
from looptop.tui.widgets.panel import Panel
from looptop.tui.widgets.prompt import Prompt

Level = Literal["form", "run", "batch", "sample", "tokens", "compare"]


class Pages:
    """The pages, of which one is shown, and the lines above them."""

    def __init__(self) -> None:
        self.crumbs = Panel(id="crumbs")
        self.status_line = Panel(id="status-line")
        self.prompt = Prompt(id="prompt")
        self.form = NewRunForm("ppo")
        self.run = RunPage()
        self.batch = BatchPage()
        self.sample = SamplePage()
        self.tokens = TokenPage()
        self.compare = BeforeAfterPage()
        self._by_level: dict[Level, Widget] = {
            "form": self.form,
            "run": self.run,
            "batch": self.batch,
            "sample": self.sample,
            "tokens": self.tokens,
            "compare": self.compare,
        }

    def __iter__(self) -> Iterator[Widget]:
        """All widgets, from top to bottom."""
        yield self.crumbs
        yield self.status_line
        yield self.prompt
        yield from self._by_level.values()

    def show(self, level: Level) -> None:
        """Shows the page of a level, and no other."""
        for name, page in self._by_level.items():
            page.display = name == level
        self.crumbs.display = self.status_line.display = level != "form"

    def main_widget(self, level: Level) -> Widget:
        """The widget that takes the keys of a level."""
        match level:
            case "form":
                return self.form.table
            case "run":
                return self.run.query_one("#batches")
            case "batch":
                return self.batch.table
            case "sample":
                return self.sample.query_one("#response")
            case "tokens":
                return self.tokens.main
        return self.compare.main
