"""The overlay that lists, adds and removes a run's breakpoints. A condition is checked while it is typed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from looptop.engine.errors import LooptopError
from looptop.engine.ppo import breakpoint_conditions
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.runs.folder import RunFolder
from looptop.tui.actions import bindings
from looptop.tui.background import in_thread, work
from looptop.tui.screens.base import Overlay
from looptop.tui.screens.watch import WatchLoop
from looptop.tui.text import safe
from looptop.tui.widgets.bars import KeyBar
from looptop.tui.widgets.field import Field
from looptop.tui.widgets.options import Options

EXAMPLES = "kl > 8   reward.mean < 0   any sample.kl > 20   ratio.max > 2   nan"
REPLY_SECONDS = 5.0


class Breakpoints(Overlay[None]):
    """Conditions at which a run is held before its update."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("breakpoints")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("breakpoints",)

    def __init__(self, run: RunFolder, known: Sequence[str]) -> None:
        """Makes the overlay.

        Args:
            run: A PPO run.
            known: The names that conditions can use, besides those of every run.
        """
        super().__init__()
        self._run = run
        self._known = list(known)
        self._shown: list[str] | None = None
        self._loop = WatchLoop(self, self._read, lambda sentence: self._show_hint(sentence, "$text-error"))

    def compose(self) -> Iterable[Widget]:
        """A field above the list."""
        box = Vertical(
            Static(
                "The run is held in a batch that meets one of these, before its update if that is known by then.",
                id="message",
            ),
            Field(placeholder=EXAMPLES, id="condition"),
            Static("", id="condition-hint"),
            Options(id="choices"),
            classes="box -breakpoints",
        )
        box.border_title = safe(f"Breakpoints of {self._run.id}")
        yield box
        yield KeyBar()

    def on_mount(self) -> None:
        """Starts to read the breakpoints again and again."""
        self.query_one("#condition", Field).focus()
        self._loop.start()

    async def _read(self) -> bool:
        self._list(await in_thread(PpoJournal(self._run.db).breakpoints))
        return True

    def _list(self, breakpoints: list[str]) -> None:
        if breakpoints == self._shown:
            return
        self._shown = breakpoints
        choices = self.query_one("#choices", OptionList)
        highlighted = choices.highlighted
        none = Option(Content.styled("none is set", "$text-muted"), disabled=True)
        choices.set_options([Option(safe(text), id=str(index)) for index, text in enumerate(breakpoints)] or [none])
        choices.highlighted = min(highlighted or 0, len(breakpoints) - 1) if breakpoints else None

    @on(Input.Changed, "#condition")
    def _changed(self, event: Input.Changed) -> None:
        if not event.value.strip():
            self._show_hint("", "")
            return
        try:
            breakpoint_conditions.parse(event.value, self._known)
        except LooptopError as error:
            self._show_hint(str(error), "$text-error")
        else:
            self._show_hint("enter sets it", "$text-success")

    @on(Input.Submitted, "#condition")
    def _add(self, event: Input.Submitted) -> None:
        try:
            condition = breakpoint_conditions.parse(event.value, self._known)
        except LooptopError as error:
            self._show_hint(str(error), "$text-error")
            return
        event.input.value = ""
        self._set(condition.text, remove=False)

    def action_list(self) -> None:
        """Goes from the field to the list."""
        self.query_one("#choices", OptionList).focus()

    def action_remove(self) -> None:
        """Removes the breakpoint under the cursor."""
        choices = self.query_one("#choices", OptionList)
        if self._shown and choices.highlighted is not None:
            self._set(self._shown[choices.highlighted], remove=True)

    def _set(self, text: str, *, remove: bool) -> None:
        from looptop.engine.ppo.breakpoints import set_breakpoint, set_for_later
        from looptop.engine.runs.control import wait_reply

        async def go() -> None:
            try:
                control = await in_thread(lambda: set_breakpoint(self._run, text, "app", remove=remove))
            except LooptopError as error:
                self._show_hint(str(error), "$text-error")
                return
            if control is None:
                outcome = "removed" if remove else await in_thread(lambda: set_for_later(self._run))
                self._show_hint(f"{text}: {outcome.removeprefix('is ')}", "$text-success")
            else:
                reply = await in_thread(lambda: wait_reply(self._run, control, REPLY_SECONDS))
                if reply is None:
                    self._show_hint("the run takes it at its batch's next stage", "")
                else:
                    self._show_hint(reply.text, "$text-error" if reply.ok is False else "")
            self._list(await in_thread(PpoJournal(self._run.db).breakpoints))

        work(self, go(), "set")

    def _show_hint(self, text: str, style: str) -> None:
        self.query_one("#condition-hint", Static).update(safe(text, style))
