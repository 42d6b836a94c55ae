"""The help overlay, made from the table of actions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from looptop.tui import actions
from looptop.tui.screens.base import Overlay
from looptop.tui.widgets.bars import KeyBar


class Help(Overlay[None]):
    """The keys of a screen, then those that work everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("help")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("help",)

    def __init__(self, contexts: tuple[str, ...]) -> None:
        super().__init__()
        self._contexts = contexts

    def compose(self) -> Iterable[Widget]:
        """One text, which can be scrolled."""
        box = VerticalScroll(Static(text_of(self._contexts)), classes="box -help")
        box.border_title = "Help"
        yield box
        yield KeyBar()

    def on_mount(self) -> None:
        """Focuses the text, so that the arrows scroll it."""
        self.query_one(VerticalScroll).focus()


def text_of(contexts: tuple[str, ...]) -> Content:
    """The actions of these key contexts, then those that work everywhere."""
    lines: list[Content] = []
    for context in [*dict.fromkeys(contexts), "app", "field"]:
        known = actions.actions_of([context])
        if not known:
            continue
        if lines:
            lines.append(Content(""))
        lines.append(Content.styled(actions.KEY_CONTEXTS[context], "$secondary bold"))
        for action in filter(lambda each: each.help, known):
            keys = action.key_text
            lines.append(Content.assemble((f" {keys:<8} ", "$primary bold"), action.help))
    lines += [
        Content(""),
        Content.styled("The mouse works too: click a key at the bottom, a row, a field.", "$text-muted"),
    ]
    return Content("\n").join(lines)
