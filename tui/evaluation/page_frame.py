"""The frame of the evaluation screens around their pages: head, names of the pages, a sentence, the keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from textual.content import Content
from textual.widget import Widget

from looptop.tui.evaluation.page_line import PageLine
from looptop.tui.widgets.bars import KeyBar, TopBar
from looptop.tui.widgets.panel import Panel

Page = TypeVar("Page", bound=Widget)


class PageFrame(Generic[Page]):
    """The widgets of a screen with pages, for a screen that owns this object.

    Args:
        origin: The name of the main screen that the screen was opened from.
        pages: The pages, by their names.
        on_turn: Called when the person has turned to another page.
    """

    def __init__(self, origin: str, pages: Mapping[str, Page], on_turn: Callable[[], object]) -> None:
        self.origin = origin
        self.pages = pages
        self.line = PageLine(list(pages), on_turn)
        self.detail = Panel(id="evaluation-detail")
        """A sentence about what is under the cursor."""
        self.placeholder = Panel(id="evaluation-none")
        """Why there is nothing to show on the page."""
        self._top, self._head = TopBar(origin), Panel(id="evaluation-head")

    def __iter__(self) -> Iterator[Widget]:
        """All widgets, from top to bottom."""
        yield from (self._top, self._head, self.line, self.placeholder)
        yield from self.pages.values()
        yield from (self.detail, KeyBar())

    @property
    def page(self) -> Page:
        """The page whose name is highlighted."""
        return self.pages[self.line.page]

    def set_origin(self, origin: str) -> None:
        """Keeps the main screen that esc goes back to, and highlights its name."""
        self.origin = origin
        self._top.highlight(origin)

    def show_page(self, *, has_content: bool) -> None:
        """Shows the page whose name is highlighted, or why there is nothing to show on it."""
        for page in self.pages.values():
            page.display = has_content and page is self.page
        self.placeholder.display = not has_content

    def show_head(self, lines: Sequence[Content], small: Content) -> None:
        """Shows the head: these lines, or `small` on a small terminal, where there is one line."""
        is_small = self._head.screen.has_class("-small")
        self._head.show(small if is_small else Content("\n").join(lines))
