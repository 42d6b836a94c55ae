"""An image in half blocks: two pixels in each cell, scaled to the widget with its proportions kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from looptop.tui.text import safe

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich_pixels import Pixels
    from textual.app import RenderResult

MOST_PIXELS = 96
"""Pixels on the longer side: more would not be clearer in a terminal, and each cell costs time."""


class Picture(Widget, can_focus=False):
    """Shows one image, or a sentence if there is none."""

    class Drawn(Message):
        """The first image has been drawn."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._image: Image | None = None
        self._sentence = Content("")
        self._drawn = False
        self._made: tuple[int, int, Pixels] | None = None

    def show(self, image: Image) -> None:
        """Shows an image."""
        self._image, self._made = image, None
        self.refresh()

    def show_sentence(self, text: str, style: str = "$text-muted") -> None:
        """Shows a sentence instead of an image."""
        self._image, self._sentence = None, safe(text, style)
        self.refresh()

    def render(self) -> RenderResult:
        """The image in half blocks."""
        width, height = self.content_size
        if height and not self._drawn:
            self._drawn = True
            self.post_message(self.Drawn())
        if self._image is None or width < 1 or height < 1:
            return self._sentence
        if self._made is None or self._made[:2] != (width, height):
            self._made = (width, height, _pixels(self._image, width, height))
        return self._made[2]


def half_blocks(image: Image) -> Pixels:
    """Draws two pixels in each cell. Neighbouring cells of equal colours are merged, to send fewer bytes."""
    from rich_pixels import HalfcellRenderer, Pixels

    return Pixels.from_segments(Segment.simplify(HalfcellRenderer().render(image, None)))


def _pixels(image: Image, width: int, height: int) -> Pixels:
    from PIL.Image import Resampling

    scale = min(min(width, MOST_PIXELS) / image.width, min(2 * height, MOST_PIXELS) / image.height)
    size = max(1, round(image.width * scale)), max(2, 2 * round(image.height * scale / 2))
    # A small picture is enlarged by whole pixels, so that it looks like what it is; a large one is averaged.
    how = Resampling.NEAREST if scale >= 1 else Resampling.LANCZOS
    return half_blocks(image.resize(size, how))
