"""The line with the names of the pages, the shown one highlighted; a click on a name shows its page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.content import Content
from textual.events import Click
from textual.widget import Widget

from looptop.tui.widgets.table import MORE_COLUMNS

MORE_ON_THE_LEFT = "\u2039"
"""The mark for more names to the left."""


class PageLine(Widget, can_focus=False):
    """The names of the pages of a screen.

    Args:
        pages: The names; the first one is highlighted at first.
        on_turn: Called when a key or a click has highlighted another name.
    """

    def __init__(self, pages: Sequence[str], on_turn: Callable[[], object]) -> None:
        super().__init__(id="page-line")
        self._pages = pages
        self._on_turn = on_turn
        self.page = pages[0]
        """The page whose name is highlighted."""
        self._counts: dict[str, int] = {}
        self._spots: list[tuple[int, int, str]] = []
        """First cell, cell after the last one, and page of each name on the line; a click is looked up here."""

    def highlight(self, page: str) -> None:
        """Highlights the name of a page."""
        self.page = page
        self.refresh()

    def show_counts(self, counts: dict[str, int]) -> None:
        """Shows numbers beside names."""
        self._counts = counts
        self.refresh()

    def turn(self, by: int) -> None:
        """Highlights the name of the next page, or the one before."""
        self._turn_to(self._pages[(self._pages.index(self.page) + by) % len(self._pages)])

    def _turn_to(self, page: str) -> None:
        self.highlight(page)
        self._on_turn()

    def render(self) -> Content:
        """The line; where not all names fit, those around the shown one."""
        names = [self._title(page) for page in self._pages]
        shown = self._pages.index(self.page)
        first = 0
        while first < shown and sum(len(name) + 1 for name in names[first : shown + 1]) > self.size.width - 4:
            first += 1
        parts: list[tuple[str, str]] = [(f"{MORE_ON_THE_LEFT} " if first else " ", "$text-muted")]
        self._spots, at = [], len(parts[0][0])
        for page, name in zip(self._pages[first:], names[first:], strict=True):
            if at + len(name) > self.size.width - 2:
                parts.append((MORE_COLUMNS, "$text-muted"))
                break
            parts += [(name, "$primary bold reverse" if page == self.page else "$text-muted"), (" ", "")]
            self._spots.append((at, at + len(name), page))
            at += len(name) + 1
        return Content.assemble(*parts)

    def _title(self, page: str) -> str:
        return f" {page} {self._counts[page]} " if self._counts.get(page) else f" {page} "

    def on_click(self, event: Click) -> None:
        """Shows the clicked page."""
        for first, end, page in self._spots:
            if first <= event.x < end:
                self._turn_to(page)
