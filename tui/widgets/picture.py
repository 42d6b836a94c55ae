"""A widget with an image or a part of it, its proportions kept: in half blocks, two pixels in each cell; over them the
real image, where the terminal draws images.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.geometry import Offset
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from looptop.tui.background import in_thread, work
from looptop.tui.text import safe
from looptop.tui.widgets.picture_pyramid import Pyramid
from looptop.tui.widgets.picture_viewport import Viewport

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich_pixels import Pixels
    from textual.app import RenderResult

    from looptop.tui.terminal.graphics import Graphics
    from looptop.tui.terminal.graphics_encoding import Graphic
    from looptop.tui.terminal.graphics_layer import GraphicsLayer

ROW_HEIGHT = 2.0
"""Height of a cell in widths of a cell, where the terminal has not said it."""

COARSE = 3
"""Cells of one colour beside each other in a large picture that an image will lie over; they cost fewer bytes."""

BACKLOG_SECONDS = 0.05
"""Seconds between two looks whether the terminal has taken what was written."""

FEW_CELLS = 2500
"""A picture of so many cells is drawn at once, a larger one in a thread."""


class _Job(NamedTuple):
    """What is to be drawn."""

    source: Pyramid
    viewport: Viewport
    columns: int
    rows: int
    graphics: Graphics | None

    @property
    def is_small(self) -> bool:
        """Whether its half blocks are drawn at once."""
        return self.columns * self.rows <= FEW_CELLS


class _HasGraphics(Protocol):
    """The app, as far as a picture uses it."""

    graphics: GraphicsLayer


class Picture(Widget, can_focus=False):
    """Shows one image, or a part of it, or a sentence if there is none."""

    class FirstPainted(Message):
        """The widget has been painted for the first time, with an image or with a sentence."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.viewport = Viewport()
        self._source: Pyramid | None = None
        self._sentence = Content("")
        self._told = False
        self._lines: tuple[_Job, list[Strip]] | None = None
        self._encoded: _Job | None = None
        """What the image on the terminal was encoded for, if it draws images."""
        self._drawing = self._encoding = False

    @property
    def source(self) -> Pyramid | None:
        """The image."""
        return self._source

    def show(self, image: Image | Pyramid) -> None:
        """Shows an image."""
        source = image if isinstance(image, Pyramid) else Pyramid(image)
        if source is not self._source:
            self._source = source
            self._layer.set(self, None)  # The half blocks show the new one sooner.
        self._draw()

    def show_sentence(self, text: str, style: str = "$text-muted") -> None:
        """Shows a sentence instead of an image."""
        self._source, self._lines, self._encoded, self._sentence = None, None, None, safe(text, style)
        self._layer.set(self, None)
        self.refresh()

    def show_part(self, viewport: Viewport) -> None:
        """Shows a part of the image."""
        if viewport != self.viewport:
            self.viewport = viewport
            self._draw()

    @property
    def room(self) -> tuple[float, float]:
        """Width and height in widths of a cell."""
        width, height = self.content_size
        return max(1, width), max(1, height) * self.row_height

    @property
    def row_height(self) -> float:
        """Height of a cell in widths of a cell."""
        return _row_height(self._layer.graphics)

    def render(self) -> RenderResult:
        """The sentence; images are drawn by `render_line`."""
        return self._sentence

    def render_line(self, y: int) -> Strip:
        """A line of the image in half blocks."""
        width, height = self.content_size
        if height and not self._told:
            self._told = True
            self.post_message(self.FirstPainted())
        if self._source is None or width < 1 or height < 1:
            return super().render_line(y)
        if (job := self._job()) is not None and job.is_small and not self._has_lines(job):
            self._lines = (job, _half_blocks_of(job))
        self._draw()
        lines = self._lines[1] if self._lines is not None else []
        row = y - (height - len(lines)) // 2
        ground = self.rich_style
        if not 0 <= row < len(lines):
            return Strip.blank(width, ground)
        before = max(0, width - lines[row].cell_length) // 2
        return Strip([Segment(" " * before, ground), *lines[row]]).adjust_cell_length(width, ground)

    def _job(self) -> _Job | None:
        width, height = self.content_size
        if self._source is None or width < 1 or height < 1:
            return None
        return _Job(self._source, self.viewport, width, height, self._layer.graphics)

    @property
    def _layer(self) -> GraphicsLayer:
        return cast("_HasGraphics", self.app).graphics

    def _has_lines(self, job: _Job) -> bool:
        return self._lines is not None and self._lines[0] == job

    def _needs_no_image(self, job: _Job) -> bool:
        return job.graphics is None or self._encoded == job

    def _draw(self) -> None:
        """Has half blocks drawn, and then the image, unless they are drawn or being drawn."""
        job = self._job()
        if job is None:
            return
        if not self._has_lines(job):
            self._layer.outdate(self)
            if job.is_small:
                self.refresh()  # `render_line` draws the half blocks, then comes here again.
            elif not self._drawing:
                self._drawing = True
                work(self, self._draw_lines(), "draw")
        elif not self._needs_no_image(job) and not self._encoding:
            self._encoding = True
            work(self, self._encode(), "encode")

    async def _draw_lines(self) -> None:
        """Draws half blocks in a thread, again as long as others are wanted than were drawn."""
        try:
            while (job := self._job()) is not None and not self._has_lines(job):
                if self._layer.is_behind:  # Of what a slow terminal cannot show in time, only the last is drawn.
                    await asyncio.sleep(BACKLOG_SECONDS)
                    continue
                lines = await in_thread(partial(_half_blocks_of, job))
                if self._source is not None:  # It may have become a sentence.
                    self._lines = (job, lines)
                    self.refresh()
        finally:
            self._drawing = False

    async def _encode(self) -> None:
        """Encodes images in a thread, again as long as another one is wanted."""
        try:
            while (job := self._job()) is not None and self._has_lines(job) and not self._needs_no_image(job):
                graphic = await in_thread(partial(_image_of, job))
                if self._job() == job:
                    self._encoded = job
                    self._show_graphic(job, graphic)
        finally:
            self._encoding = False

    def _show_graphic(self, job: _Job, graphic: Graphic | None) -> None:
        """Gives the layer the image that lies over the half blocks."""
        offset = Offset()
        if graphic is not None:
            offset = Offset((job.columns - graphic.columns) // 2, (job.rows - graphic.rows) // 2)
        self._layer.set(self, graphic, offset)


def _row_height(graphics: Graphics | None) -> float:
    return ROW_HEIGHT if graphics is None else graphics.cell[1] / graphics.cell[0]


def _cells_of(job: _Job) -> tuple[tuple[float, float, float, float], int, int]:
    """The part of the image that is visible, and the columns and rows that it takes."""
    row_height = _row_height(job.graphics)
    visible = job.viewport.visible(job.source.size, (job.columns, job.rows * row_height))
    columns = min(job.columns, max(1, round(visible.width)))
    return visible.box, columns, min(job.rows, max(1, round(visible.height / row_height)))


def _half_blocks_of(job: _Job) -> list[Strip]:
    box, columns, rows = _cells_of(job)
    if job.graphics is None or job.is_small:
        return half_block_lines(job.source.part(box, (columns, 2 * rows)))
    from PIL.Image import Resampling

    few = job.source.part(box, (max(1, columns // COARSE), 2 * rows))
    return half_block_lines(few.resize((columns, 2 * rows), Resampling.NEAREST))


def _image_of(job: _Job) -> Graphic | None:
    """The image for the terminal; in a thread."""
    from looptop.tui.terminal.graphics_encoding import encode

    box, columns, rows = _cells_of(job)
    return None if job.graphics is None else encode(job.graphics, partial(job.source.part, box), columns, rows)


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
