"""A list of images with thumbnails. Only the rows on the screen are drawn, and only their files are opened."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.strip import Strip

from looptop.engine.errors import LooptopError
from looptop.tui.actions import bindings
from looptop.tui.ask.picture import half_blocks
from looptop.tui.background import in_thread, work
from looptop.tui.widgets.table import Table, fitted


class ImageList(Table):
    """Images by name, two lines each: a thumbnail of 4x4 pixels, the name, and a note below the name."""

    ROW_HEIGHT = 2
    HEADER_HEIGHT = 0
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("images")]

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.empty = "no image by that name"
        self._all: Sequence[Path] = ()
        self._shown: Sequence[Path] = ()
        self._note: Callable[[Path], str] = lambda _path: ""
        self._thumbs: dict[Path, list[Strip]] = {}
        self._wanted: deque[Path] = deque(maxlen=64)
        self._loading = False

    def show(self, images: Sequence[Path], note: Callable[[Path], str]) -> None:
        """Replaces the images.

        Args:
            images: The files.
            note: Returns the note for a file.
        """
        self._all, self._note = images, note
        self._show(images, cursor=0)

    def filter(self, words: str) -> None:
        """Shows only images whose names or notes contain all these words."""
        before = self.path
        wanted = words.lower().split()
        images = self._all
        if wanted:
            images = [path for path in images if all(word in self._searched(path) for word in wanted)]
        self._show(images, cursor=images.index(before) if before in images else 0)
        if self.path is not None and self.path != before:
            self.post_message(self.Moved(self, self.cursor))

    def _searched(self, path: Path) -> str:
        return f"{path.name} {self._note(path)}".lower()

    def _show(self, images: Sequence[Path], cursor: int) -> None:
        self._shown = images
        self.fill(len(images), lambda _row: None, cursor=cursor)

    @property
    def path(self) -> Path | None:
        """The image under the cursor."""
        return self._shown[self.cursor] if self.cursor < len(self._shown) else None

    def row_line(self, row: int, line: int, base: Style) -> list[Segment]:
        """One line of a row: half of the thumbnail, and the name or the note."""
        path, room = self._shown[row], max(self.size.width - 7, 1)
        thumb = self._thumb(path)
        return [
            Segment("▌" if row == self.cursor else " ", base),
            *(thumb[line] if thumb else [Segment("    ", base)]),
            Segment(f" {fitted(path.name, room)} ", base)
            if line == 0
            else Segment(f" {fitted(self._note(path), room)} ", base + self.style_of("muted")),
        ]

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
        """Loads the requested thumbnails, the latest request first, then redraws once."""
        batch = [self._wanted.pop() for _ in range(len(self._wanted))]
        if len(self._thumbs) > 2000:
            self._thumbs.clear()
        self._thumbs |= await in_thread(lambda: {path: _thumbnail(path) for path in batch})
        self._loading = False
        self.refresh()


def _thumbnail(path: Path) -> list[Strip]:
    """A thumbnail of 4x4 pixels as two lines of four cells; a mark if the file is not an image."""
    from PIL.Image import Resampling

    from looptop.engine.vqa.images.decode import thumbnail

    try:
        pixels = half_blocks(thumbnail(path, (64, 64)).resize((4, 4), Resampling.BOX))
    except LooptopError:
        return [Strip([Segment(" ✗  ")]), Strip([Segment("    ")])]
    shown = pixels._segments
    lines = list(Segment.split_lines(shown.segments)) if shown is not None else []
    return [Strip(line) for line in lines[:2]]
