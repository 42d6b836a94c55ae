"""Tiles in rows, as many beside one another as there is room for, in a widget that scrolls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.events import Click
from textual.geometry import Region
from textual.scroll_view import ScrollView


@dataclass
class TileGrid:
    """The geometry of the tiles, for the widget that draws them and owns this object."""

    view: ScrollView
    count: int = 0
    """How many tiles there are."""
    columns: int = 1
    row_height: int = 1
    """The lines of a row of tiles, with the blank ones below it."""

    @property
    def rows(self) -> int:
        """How many rows the tiles fill."""
        return -(-self.count // self.columns)

    @property
    def visible(self) -> range:
        """The indexes of the tiles that are on the screen, at least in part."""
        top, height = self.view.scroll_offset.y, self.view.size.height
        first, last = top // self.row_height, (top + height - 1) // self.row_height
        return range(first * self.columns, min(self.count, (last + 1) * self.columns))

    def index_at(self, event: Click) -> int | None:
        """The index of the tile that was clicked; None if there is none."""
        column = event.x * self.columns // max(self.view.size.width, 1)
        index = (event.y + self.view.scroll_offset.y) // self.row_height * self.columns + column
        return index if index < self.count else None

    def reveal(self, index: int, height: int) -> None:
        """Scrolls a tile of this height into sight."""
        top, first, seen = index // self.columns * self.row_height, self.view.scroll_offset.y, self.view.size.height
        if seen < 1:
            return
        if top < first or height >= seen:
            self.view.scroll_to(y=top, animate=False, immediate=True)
        elif top + height > first + seen:
            self.view.scroll_to(y=top + height - seen, animate=False, immediate=True)

    def refresh_rows_of(self, indexes: Iterable[int]) -> None:
        """Redraws the rows of these tiles."""
        width, seen = self.view.size
        for row in {index // self.columns for index in indexes}:
            top = row * self.row_height - self.view.scroll_offset.y
            first, end = max(0, top), min(top + self.row_height, seen)
            if first < end:
                self.view.refresh(Region(0, first, width, end - first))
