"""The overlay with the health marks of a batch: what was measured, what it usually means, what to try."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from looptop.engine.ppo.records import BatchRecord
from looptop.tui.actions import bindings
from looptop.tui.ppo.text import mark_title
from looptop.tui.screens.base import Overlay
from looptop.tui.text import safe
from looptop.tui.widgets.bars import KeyBar


class Health(Overlay[None]):
    """The health marks of a batch."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("health")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("health",)

    def __init__(self, batch: BatchRecord) -> None:
        super().__init__()
        self._batch = batch

    def compose(self) -> Iterable[Widget]:
        """One text, which can be scrolled."""
        box = VerticalScroll(Static(_text(self._batch)), classes="box -help")
        box.border_title = f"Health of batch {self._batch.step:,}"
        yield box
        yield KeyBar()

    def on_mount(self) -> None:
        """Focuses the text, so that the arrows scroll it."""
        self.query_one(VerticalScroll).focus()


def _text(batch: BatchRecord) -> Content:
    if not batch.marks:
        return Content.styled(
            "Nothing about this batch is out of the ordinary. m goes to the next that is.", "$text-muted"
        )
    parts = []
    for mark in batch.marks:
        parts += [safe(f"! {mark_title(batch, mark)}", "$text-warning bold"), safe(mark.text), Content("")]
    return Content("\n").join(parts)
