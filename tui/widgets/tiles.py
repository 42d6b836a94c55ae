"""Tiles with pictures in rows, as many beside one another as there is room for. Only those on the screen are drawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView

from looptop.tui.widgets.style_cache import StyleCache
from looptop.tui.widgets.thumbnails import Thumbnails, Wanted


class Tiles(StyleCache, ScrollView, can_focus=True, inherit_bindings=False):
    """Tiles, one of them under the cursor; a subclass draws them in `render_line`.

    Args:
        thumbnails: Makes the pictures.
        id: Textual's id of the widget.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"tiles--cursor"}
    DEFAULT_CSS = """
    Tiles {
        height: 1fr;
        background: transparent;
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;

        & > .tiles--cursor {
            color: $primary;
        }
    }
    """
    GAP: ClassVar[int] = 0
    """The blank lines between two rows of tiles."""

    cursor: reactive[int] = reactive(0, repaint=False, init=False)

    @dataclass
    class Moved(Message):
        """Another tile is under the cursor."""

        tile: int

    class Chosen(Message):
        """The tile under the cursor was chosen."""

    def __init__(self, thumbnails: Thumbnails, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.thumbnails = thumbnails
        self.count = 0
        """How many tiles there are."""
        self.columns = self.tile_height = 1

    def fit(self) -> None:
        """Sets `columns` and `tile_height` for the size of the widget."""

    def wanted(self, index: int) -> Wanted | None:
        """The picture on a tile; None if it has none."""
        return None

    # Moving.

    def validate_cursor(self, cursor: int) -> int:
        """Limits the cursor to the tiles."""
        return max(0, min(cursor, self.count - 1))

    def watch_cursor(self, before: int, now: int) -> None:
        """Scrolls to the tile, and posts `Moved`."""
        self._reveal()
        self.refresh_rows_of((before, now))
        self.post_message(self.Moved(now))

    def action_move(self, tiles: int) -> None:
        """Moves the cursor along the row."""
        self.cursor += tiles

    def action_line(self, rows: int) -> None:
        """Moves the cursor to another row of tiles, in the same column if it has one."""
        target = self.cursor + rows * self.columns
        if target >= 0 and target // self.columns < self._rows_needed:
            self.cursor = target

    def action_choose(self) -> None:
        """Chooses the tile under the cursor."""
        if self.count:
            self.post_message(self.Chosen())

    def on_click(self, event: Click) -> None:
        """Moves the cursor to the clicked tile; a double click chooses it."""
        column = event.x * self.columns // max(self.size.width, 1)
        index = (event.y + self.scroll_offset.y) // self.row_height * self.columns + column
        if index < self.count:
            self.cursor = index
            if event.chain == 2:
                self.action_choose()

    # Layout.

    @property
    def row_height(self) -> int:
        """The lines of a row of tiles, with the blank ones below it."""
        return self.tile_height + self.GAP

    @property
    def _rows_needed(self) -> int:
        return -(-self.count // self.columns)

    @property
    def height_needed(self) -> int:
        """The lines of all rows."""
        return self._rows_needed * self.row_height - self.GAP

    @property
    def visible_tiles(self) -> range:
        """The indexes of the tiles that are on the screen, at least in part."""
        top, height = self.scroll_offset.y, self.size.height
        first, last = top // self.row_height, (top + height - 1) // self.row_height
        return range(first * self.columns, min(self.count, (last + 1) * self.columns))

    def rearrange(self) -> None:
        """Fits the tiles to the size, and draws them."""
        self.fit()
        size = Size(0, self.height_needed)
        if size != self.virtual_size:
            self.virtual_size = size
        self._reveal()
        self.request_pictures()
        self.refresh()

    def _reveal(self) -> None:
        """Scrolls the tile under the cursor into sight."""
        top, first, seen = self.cursor // self.columns * self.row_height, self.scroll_offset.y, self.size.height
        if seen < 1:
            return
        if top < first or self.tile_height >= seen:
            self.scroll_to(y=top, animate=False, immediate=True)
        elif top + self.tile_height > first + seen:
            self.scroll_to(y=top + self.tile_height - seen, animate=False, immediate=True)

    def refresh_rows_of(self, indexes: Iterable[int]) -> None:
        """Redraws the rows of these tiles."""
        width, seen = self.size
        for row in {index // self.columns for index in indexes}:
            top = row * self.row_height - self.scroll_offset.y
            first, end = max(0, top), min(top + self.row_height, seen)
            if first < end:
                self.refresh(Region(0, first, width, end - first))

    def on_resize(self, _event: Resize) -> None:
        """Fits the tiles to the new size."""
        self.rearrange()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Asks for the pictures that came into sight."""
        super().watch_scroll_y(old_value, new_value)
        self.request_pictures()

    def request_pictures(self) -> None:
        """Asks for the pictures of the tiles on the screen."""
        if self.display and self.size.height:
            wanted = map(self.wanted, self.visible_tiles)
            self.thumbnails.request([each for each in wanted if each is not None])
