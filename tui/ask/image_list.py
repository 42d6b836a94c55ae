"""A list of images with their thumbnails: only the rows on the screen are drawn, only their files are opened."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from looptop.engine.errors import LooptopError
from looptop.tui.actions import bindings
from looptop.tui.ask.picture import half_blocks
from looptop.tui.background import in_thread, work
from looptop.tui.text import cell

if TYPE_CHECKING:
    from textual.events import Click

ROW = 2
"""Lines of a row: a thumbnail of four by four pixels, a name and a note beside it."""


class ImageList(ScrollView, can_focus=True):
    """Images by name; the one under the cursor is the one shown."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"images--cursor", "images--note"}
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("images", "rows")]

    cursor: reactive[int] = reactive(0, repaint=False, init=False)

    @dataclass
    class Moved(Message):
        """The cursor is on another image."""

        path: Path

    @dataclass
    class Chosen(Message):
        """Enter was pressed on an image."""

        path: Path

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._all: Sequence[Path] = ()
        self._rows: Sequence[Path] = ()
        self._note: Callable[[Path], str] = lambda _path: ""
        self._thumbs: dict[Path, list[Strip]] = {}
        self._wanted: deque[Path] = deque(maxlen=64)
        self._loading = False

    def fill(self, images: Sequence[Path], note: Callable[[Path], str]) -> None:
        """Shows these images.

        Args:
            images: Files.
            note: What stands below a name.
        """
        self._all, self._rows, self._note = images, images, note
        self.virtual_size = Size(0, ROW * len(images))

    def filter(self, words: str) -> None:
        """Leaves only the images in whose names or notes all words occur."""
        here = self.path
        wanted = words.lower().split()
        self._rows = (
            [path for path in self._all if all(word in f"{path.name} {self._note(path)}".lower() for word in wanted)]
            if wanted
            else self._all
        )
        self.virtual_size = Size(0, ROW * len(self._rows))
        self.set_reactive(ImageList.cursor, self._rows.index(here) if here in self._rows else 0)
        self._reveal()
        self.refresh()
        if self.path is not None and self.path != here:
            self.post_message(self.Moved(self.path))

    @property
    def path(self) -> Path | None:
        """The image under the cursor."""
        return self._rows[self.cursor] if 0 <= self.cursor < len(self._rows) else None

    def validate_cursor(self, cursor: int) -> int:
        """Keeps it on a row."""
        return max(0, min(cursor, len(self._rows) - 1))

    def watch_cursor(self, before: int, now: int) -> None:
        """Shows the row, and tells which image it is."""
        self._reveal()
        for row in (before, now):
            self.refresh(Region(0, ROW * row - self.scroll_offset.y, self.size.width, ROW))
        if self.path is not None:
            self.post_message(self.Moved(self.path))

    def action_move(self, rows: int) -> None:
        """Moves the cursor."""
        self.cursor += rows

    def action_page(self, pages: int) -> None:
        """Moves the cursor by what is seen."""
        self.cursor += pages * max(1, self.size.height // ROW - 1)

    def action_end(self, last: bool) -> None:
        """Moves the cursor to the first or last row."""
        self.cursor = len(self._rows) - 1 if last else 0

    def action_choose(self) -> None:
        """Takes the image."""
        if self.path is not None:
            self.post_message(self.Chosen(self.path))

    def on_click(self, event: Click) -> None:
        """Moves the cursor to the row; twice takes it."""
        self.cursor = (event.y + self.scroll_offset.y) // ROW
        if event.chain == 2:
            self.action_choose()

    def render_line(self, y: int) -> Strip:
        """Half a row."""
        width = self.size.width
        row, half = divmod(y + self.scroll_offset.y, ROW)
        if row >= len(self._rows):
            said = "no image by that name" if not self._rows and y == 1 else ""
            note = self.get_component_rich_style("images--note")
            return Strip([Segment(said, note)]).adjust_cell_length(width, self.rich_style)
        path = self._rows[row]
        base = self.get_component_rich_style("images--cursor") if row == self.cursor else self.rich_style
        style = base if half == 0 else base + self.get_component_rich_style("images--note", partial=True)
        words = cell(path.name if half == 0 else self._note(path), max(width - 7, 1)).plain
        mark = "▌" if row == self.cursor else " "
        thumb = self._thumb(path)
        picture = list(thumb[half]) if thumb else [Segment("    ", base)]
        return Strip([Segment(mark, base), *picture, Segment(f" {words} ", style)]).adjust_cell_length(width, base)

    def _reveal(self) -> None:
        if not self.size.height:
            return
        top = ROW * self.cursor
        if top < self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, immediate=True)
        elif top + ROW > self.scroll_offset.y + self.size.height:
            self.scroll_to(y=top + ROW - self.size.height, animate=False, immediate=True)

    def _thumb(self, path: Path) -> list[Strip] | None:
        if path not in self._thumbs:
            if path not in self._wanted:
                self._wanted.append(path)
            if not self._loading:
                self._loading = True
                work(self, self._load(), "thumbnails")
            return None
        return self._thumbs[path]

    async def _load(self) -> None:
        """Loads what was wanted, the newest first, then draws once."""
        batch = [self._wanted.pop() for _ in range(len(self._wanted))]
        if len(self._thumbs) > 2000:
            self._thumbs.clear()
        self._thumbs |= await in_thread(lambda: {path: _thumbnail(path) for path in batch})
        self._loading = False
        self.refresh()


def _thumbnail(path: Path) -> list[Strip]:
    """Four by four pixels in two lines of four cells; a mark where the file is no image."""
    from PIL.Image import Resampling

    from looptop.engine.vqa.images.decode import thumbnail

    try:
        pixels = half_blocks(thumbnail(path, (64, 64)).resize((4, 4), Resampling.BOX))
    except LooptopError:
        return [Strip([Segment(" ✗  ")]), Strip([Segment("    ")])]
    shown = pixels._segments
    lines = list(Segment.split_lines(shown.segments)) if shown is not None else []
    return [Strip(line) for line in lines[:2]]
