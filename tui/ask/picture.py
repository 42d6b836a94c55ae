"""An image in half blocks: two pixels in each cell, as large as the widget allows, with its proportions kept."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple, cast

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.geometry import Offset
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from looptop.tui.ask.picture_pyramid import Pyramid
from looptop.tui.ask.picture_viewport import Viewport
from looptop.tui.background import in_thread, work
from looptop.tui.text import safe

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich_pixels import Pixels
    from textual.app import RenderResult

    from looptop.tui.screens.base import Services
    from looptop.tui.terminal.graphics import Graphics
    from looptop.tui.terminal.graphics_encoding import Graphic
    from looptop.tui.terminal.graphics_layer import GraphicsLayer

ROW_HEIGHT = 2.0
"""Height of a cell in widths of a cell, where the terminal has not said it."""

COARSE = 4
"""Cells of one colour beside each other where an image lies over the half blocks."""

FEW_CELLS = 2500
"""A picture of so many cells is drawn at once, a larger one in a thread."""


class _Job(NamedTuple):
    """What is to be drawn."""

    source: Pyramid
    viewport: Viewport
    columns: int
    rows: int
    graphics: Graphics | None
    coarse: bool
    """Whether an image lies over the half blocks, so that they may be coarse, to send fewer bytes."""

    @property
    def few(self) -> bool:
        """Whether it is drawn at once."""
        return self.graphics is None and self.columns * self.rows <= FEW_CELLS

    def is_met_by(self, other: _Job) -> bool:
        """Whether what was drawn for another job will do."""
        return other == self or other == self._replace(coarse=False)


class _Drawn(NamedTuple):
    """What was drawn for a job."""

    job: _Job
    lines: list[Strip]
    graphic: Graphic | None


class Picture(Widget, can_focus=False):
    """Shows one image, or a part of it, or a sentence if there is none."""

    class Drawn(Message):
        """The first image has been drawn."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.viewport = Viewport()
        self._source: Pyramid | None = None
        self._sentence = Content("")
        self._told = False
        self._drawn: _Drawn | None = None
        self._drawing = False

    @property
    def source(self) -> Pyramid | None:
        """The image."""
        return self._source

    def show(self, image: Image | Pyramid) -> None:
        """Shows an image."""
        self._source = image if isinstance(image, Pyramid) else Pyramid(image)
        self._draw()

    def show_sentence(self, text: str, style: str = "$text-muted") -> None:
        """Shows a sentence instead of an image."""
        self._layer.set(self, None)
        self._source, self._drawn, self._sentence = None, None, safe(text, style)
        self.refresh()

    def look(self, viewport: Viewport) -> None:
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
            self.post_message(self.Drawn())
        if self._source is None or width < 1 or height < 1:
            return super().render_line(y)
        if (job := self._job()) is not None and job.few and not self._is_drawn(job):
            self._drawn = _draw_job(job, self._drawn)
        else:
            self._draw()
        lines = self._drawn.lines if self._drawn is not None else []
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
        layer = self._layer
        return _Job(self._source, self.viewport, width, height, layer.graphics, layer.is_drawn(self))

    @property
    def _layer(self) -> GraphicsLayer:
        return cast("Services", self.app).graphics

    def _is_drawn(self, job: _Job) -> bool:
        return self._drawn is not None and job.is_met_by(self._drawn.job)

    def _draw(self) -> None:
        """Has the picture drawn, unless it is drawn or being drawn."""
        job = self._job()
        if job is None or self._drawing or self._is_drawn(job):
            return
        if job.few:
            self.refresh()  # `render_line` draws it.
        else:
            self._drawing = True
            work(self, self._draw_last(), "draw")

    async def _draw_last(self) -> None:
        """Draws in a thread, again as long as something else is wanted than was drawn."""
        try:
            while (job := self._job()) is not None and not self._is_drawn(job):
                drawn = await in_thread(partial(_draw_job, job, self._drawn))
                if self._source is not None:  # It may have become a sentence.
                    self._drawn = drawn
                    self._place(drawn)
        finally:
            self._drawing = False

    def _place(self, drawn: _Drawn) -> None:
        """Shows what was drawn in a thread."""
        width, height = self.content_size
        graphic = drawn.graphic
        offset = Offset() if graphic is None else Offset((width - graphic.columns) // 2, (height - graphic.rows) // 2)
        self._layer.set(self, graphic, offset)
        self.refresh()


def _row_height(graphics: Graphics | None) -> float:
    return ROW_HEIGHT if graphics is None else graphics.cell[1] / graphics.cell[0]


def _draw_job(job: _Job, before: _Drawn | None) -> _Drawn:
    """Draws, in a thread if there is much to draw. An image that was encoded before is not encoded again."""
    row_height = _row_height(job.graphics)
    visible = job.viewport.visible(job.source.size, (job.columns, job.rows * row_height))
    columns = min(job.columns, max(1, round(visible.width)))
    rows = min(job.rows, max(1, round(visible.height / row_height)))
    if job.coarse:
        from PIL.Image import Resampling

        few = job.source.part(visible.box, (max(1, columns // COARSE), 2 * rows))
        image = few.resize((columns, 2 * rows), Resampling.NEAREST)
    else:
        image = job.source.part(visible.box, (columns, 2 * rows))
    graphic = None
    if before is not None and before.job._replace(coarse=job.coarse) == job:
        graphic = before.graphic
    elif job.graphics is not None:
        from looptop.tui.terminal.graphics_encoding import encode

        graphic = encode(job.graphics, partial(job.source.part, visible.box), columns, rows)
    return _Drawn(job, half_block_lines(image), graphic)


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
