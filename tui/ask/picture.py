"""An image in half blocks: two pixels in each cell, as large as the widget allows, with its proportions kept."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from looptop.tui.text import safe

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich_pixels import Pixels
    from textual.app import RenderResult

PIXELS_PER_ROW = 2.0
"""Height of a cell in widths of a cell, where the terminal has not said it."""


class Picture(Widget, can_focus=False):
    """Shows one image, or a sentence if there is none."""

    class Drawn(Message):
        """The first image has been drawn."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._image: Image | None = None
        self._sentence = Content("")
        self._drawn = False
        self._made: tuple[int, int, list[Strip]] | None = None

    def show(self, image: Image) -> None:
        """Shows an image."""
        self._image, self._made = image, None
        self.refresh()

    def show_sentence(self, text: str, style: str = "$text-muted") -> None:
        """Shows a sentence instead of an image."""
        self._image, self._sentence = None, safe(text, style)
        self.refresh()

    def render(self) -> RenderResult:
        """The sentence; images are drawn by `render_line`."""
        return self._sentence

    def render_line(self, y: int) -> Strip:
        """A line of the image in half blocks."""
        width, height = self.content_size
        if height and not self._drawn:
            self._drawn = True
            self.post_message(self.Drawn())
        if self._image is None or width < 1 or height < 1:
            return super().render_line(y)
        if self._made is None or self._made[:2] != (width, height):
            self._made = (width, height, self._strips(self._image, width, height))
        left, top = self.gutter.left, self.gutter.top
        ground = self.rich_style
        lines = self._made[2]
        row = y - top - (height - len(lines)) // 2
        if not 0 <= row < len(lines):
            return Strip.blank(self.size.width, ground)
        before = left + (width - lines[row].cell_length) // 2
        return Strip([Segment(" " * before, ground), *lines[row]]).adjust_cell_length(self.size.width, ground)

    @staticmethod
    def _strips(image: Image, width: int, height: int) -> list[Strip]:
        from PIL.Image import Resampling

        columns, rows = fitted(image.size, width, height)
        # A small picture is enlarged by whole pixels, so that it looks like what it is; a large one is averaged.
        how = Resampling.NEAREST if columns >= image.width else Resampling.LANCZOS
        return half_block_lines(image.resize((columns, 2 * rows), how))


def fitted(size: tuple[int, int], width: int, height: int, row_height: float = PIXELS_PER_ROW) -> tuple[int, int]:
    """The columns and rows of cells in which an image of a size is shown as large as possible."""
    scale = min(width / size[0], height * row_height / size[1])
    return min(width, max(1, round(size[0] * scale))), min(height, max(1, round(size[1] * scale / row_height)))


def half_block_lines(image: Image) -> list[Strip]:
    """Lines of cells that show two pixels each, the upper as background. Neighbours of equal colours are one segment,
    to send fewer bytes.

    Args:
        image: RGB, of an even height.
    """
    width, pixels = image.width, image.convert("RGB").tobytes()
    lines = []
    for row in range(image.height // 2):
        at = 6 * width * row
        upper, lower = pixels[at : at + 3 * width], pixels[at + 3 * width : at + 6 * width]
        segments, start, last = [], 0, (upper[:3], lower[:3])
        for column in range(1, width):
            pair = (upper[3 * column : 3 * column + 3], lower[3 * column : 3 * column + 3])
            if pair != last:
                segments.append(Segment("▄" * (column - start), _style(*last)))
                start, last = column, pair
        segments.append(Segment("▄" * (width - start), _style(*last)))
        lines.append(Strip(segments, width))
    return lines


@lru_cache(maxsize=16384)
def _style(upper: bytes, lower: bytes) -> Style:
    return Style.from_color(_colour(lower), _colour(upper))


@lru_cache(maxsize=16384)
def _colour(rgb: bytes) -> Color:
    return Color.from_rgb(*rgb)


def half_blocks(image: Image) -> Pixels:
    """Draws two pixels in each cell. Neighbouring cells of equal colours are merged, to send fewer bytes."""
    from rich_pixels import HalfcellRenderer, Pixels

    return Pixels.from_segments(Segment.simplify(HalfcellRenderer().render(image, None)))
