"""The overlay with what a model wrote at a step: prompts, completions, rewards and advantages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from looptop.engine.errors import LooptopError
from looptop.engine.journal.completions import Completion, read_completion_steps, read_completions
from looptop.engine.journal.reader import Journal
from looptop.engine.runs.folder import RunFolder
from looptop.tui.actions import bindings
from looptop.tui.background import in_thread, work
from looptop.tui.screens.base import Overlay
from looptop.tui.text import number, safe
from looptop.tui.widgets.bars import KeyBar

NO_COMPLETIONS = "no completions: they come with TRL's GRPO and RLOO trainers"


class Completions(Overlay[None]):
    """The completions of one step, at first of the latest."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("completions")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("completions",)

    def __init__(self, run: RunFolder) -> None:
        super().__init__()
        self._run = run
        self._journal = Journal(run.db)
        self._steps: list[int] = []
        self._step: int | None = None
        self._by_advantage = False

    def compose(self) -> Iterable[Widget]:
        """One text, which can be scrolled."""
        box = VerticalScroll(Static(id="completions"), classes="box -log")
        box.border_title = "Completions"
        yield box
        yield KeyBar()

    def on_mount(self) -> None:
        """Focuses the text, so that the arrows scroll it."""
        self.query_one(VerticalScroll).focus()
        self._read()

    def action_turn(self, by: int) -> None:
        """Shows the previous or the next step."""
        if self._steps:
            at = len(self._steps) - 1 if self._step is None else self._steps.index(self._step)
            self._step = self._steps[max(0, min(at + by, len(self._steps) - 1))]
            self._read()

    def action_order(self) -> None:
        """Sorts by advantage, or restores the original order."""
        self._by_advantage = not self._by_advantage
        self._read()

    def _read(self) -> None:
        work(self, self._show(), "completions", exclusive=True)

    async def _show(self) -> None:
        box, text = self.query_one(VerticalScroll), self.query_one("#completions", Static)
        wanted = self._step
        try:
            self._steps = await in_thread(lambda: read_completion_steps(self._journal))
            completions = await in_thread(lambda: read_completions(self._journal, wanted))
        except LooptopError as error:
            text.update(safe(error, "$text-error"))
            return
        if not completions:
            text.update(safe(NO_COMPLETIONS, "$text-muted"))
            return
        step = self._steps[-1] if wanted is None else wanted
        position = self._steps.index(step) + 1
        order = ", the best first" if self._by_advantage else ""
        box.border_title = f"Completions of step {step:,} ({position} of {len(self._steps)}){order}"
        if self._by_advantage:
            completions.sort(key=lambda each: each.advantage or 0.0, reverse=True)
        text.update(Content("\n").join(line for each in completions for line in _lines(each)))
        box.scroll_home(animate=False)


def _lines(each: Completion) -> list[Content]:
    rewards = "  ".join(f"{name} {'-' if value is None else number(value)}" for name, value in each.rewards.items())
    sign = each.advantage or 0.0
    style = "$text-success bold" if sign > 0 else "$text-error bold" if sign < 0 else "bold"
    mark = "▲" if sign > 0 else "▼" if sign < 0 else "·"
    advantage = "" if each.advantage is None else f"{mark} advantage {number(each.advantage)}  "
    return [
        Content.styled(advantage, style) + safe(rewards, "$text-muted"),
        safe(each.prompt.rstrip(), "$text-muted", keep_lines=True),
        safe(each.completion or "(nothing)", keep_lines=True),
        Content(""),
    ]
