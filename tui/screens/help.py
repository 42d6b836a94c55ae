"""Help for where you are, gathered from the one table of actions."""

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


class Help(Overlay[None]):
    """The keys of a screen, then those that work everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("help")]
    PLACES: ClassVar[tuple[str, ...]] = ("help",)

    def __init__(self, places: tuple[str, ...]) -> None:
        super().__init__()
        self._places = places

    def body(self) -> Iterable[Widget]:
        """One text, scrolled where it is long."""
        box = VerticalScroll(Static(text_of(self._places)), classes="box -help")
        box.border_title = "Help"
        yield box

    def on_mount(self) -> None:
        """The arrows scroll."""
        self.query_one(VerticalScroll).focus()


def text_of(places: tuple[str, ...]) -> Content:
    """What can be done in these places, and everywhere."""
    lines: list[Content] = []
    for place in [*dict.fromkeys(places), "app", "field"]:
        here = actions.of([place])
        if not here:
            continue
        if lines:
            lines.append(Content(""))
        lines.append(Content.styled(actions.PLACES[place], "$secondary bold"))
        for action in filter(lambda each: each.help, here):
            keys = actions.keys_of(action)
            lines.append(Content.assemble((f" {keys:<8} ", "$primary bold"), action.help))
    lines += [
        Content(""),
        Content.styled("The mouse works too: click a key at the bottom, a row, a field.", "$text-muted"),
    ]
    return Content("\n").join(lines)
