"""The help overlay: what the pane with the focus shows, then the keys, made from the tables of panes and actions."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget

from looptop.tui import actions
from looptop.tui.actions.panes import Pane
from looptop.tui.screens.base import Overlay
from looptop.tui.widgets.bars import KeyBar
from looptop.tui.widgets.fitted_text import FittedText

KEYS_WIDTH = 10
"""Cells for the keys, with the space around them."""


class Help(Overlay[None]):
    """What a pane shows, the keys of its screen, then those that work everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("help")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("help",)

    def __init__(self, contexts: tuple[str, ...], pane: Pane | None = None) -> None:
        super().__init__()
        self._contexts, self._pane = contexts, pane

    def compose(self) -> Iterable[Widget]:
        """One text, which can be scrolled."""
        text = FittedText(lambda width: text_of(self._contexts, self._pane, width - 1), id="help-text")
        box = VerticalScroll(text, classes="box -help")
        box.border_title = "Help"
        yield box
        yield KeyBar()

    def on_mount(self) -> None:
        """Focuses the text, so that the arrows scroll it."""
        self.query_one(VerticalScroll).focus()


def text_of(contexts: tuple[str, ...], pane: Pane | None, width: int) -> Content:
    """What a pane shows, the actions of these key contexts, then those that work everywhere, for this many cells."""
    lines: list[Content] = []
    if pane is not None:
        lines += [Content.styled(pane.title, "$secondary bold"), *_wrapped(pane.text, width)]
    for context in [*dict.fromkeys(contexts), "app", "field"]:
        known = actions.actions_of([context])
        if not known:
            continue
        if lines:
            lines.append(Content(""))
        lines.append(Content.styled(actions.KEY_CONTEXTS[context], "$secondary bold"))
        for action in filter(lambda each: each.help, known):
            keys = Content.styled(f"{action.displayed_keys:<{KEYS_WIDTH - 1}} ", "$primary bold")
            for line in _wrapped(action.help, width - max(KEYS_WIDTH, keys.cell_length)):
                lines.append(keys + line)
                keys = Content(" " * KEYS_WIDTH)
    mouse = "The mouse works too: click a key at the bottom, a row, a field."
    return Content("\n").join([*lines, Content(""), *(line.stylize("$text-muted") for line in _wrapped(mouse, width))])


def _wrapped(text: str, width: int) -> list[Content]:
    return [Content(line) for line in wrap(text, max(width, 10))]
