"""The chosen image, shown in one of three ways: itself, as the model sees it, where the model looks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from looptop.engine.errors import LooptopError
from looptop.tui.ask.picture import Picture
from looptop.tui.background import in_thread
from looptop.tui.text import safe

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import ComposeResult

    from looptop.engine.vqa.answer_records import ModelView

VIEW_NAMES = ("the image", "as the model sees it", "where the model looks")
THUMBNAIL_SIZE = (256, 256)
"""The largest size at which an image is kept, in pixels; enough for any terminal."""


class PicturePanel(Vertical):
    """A picture and a line below it."""

    def __init__(self, path: Path | None) -> None:
        """`path`: the first image; it is opened without a thread, since it is small and known to be valid."""
        super().__init__(id="picture-panel")
        self.border_title = "Image"
        self._picture = Picture(id="picture")
        self._caption = Static(id="caption")
        self._image: Image | None = None
        self._path = path
        self._view_number = 0
        self._view: ModelView | None = None
        self._awaited: tuple[Path, ModelView | None] | None = None

    def compose(self) -> ComposeResult:
        """Picture above, caption below."""
        yield self._picture
        yield self._caption

    def on_mount(self) -> None:
        """Shows the first image."""
        if self._path is not None:
            self._show(partial(_known_to_be_good, self._path))

    async def load(self, path: Path) -> None:
        """Opens an image and shows it, or shows what is wrong with it."""
        self._path, self._view, self._image = path, None, None
        if self._awaited and self._awaited[0] == path:
            self._view = self._awaited[1]
        self._awaited = None
        future = in_thread(lambda: thumbnail_of(path))
        await asyncio.wait([future])
        self._show(future.result)

    def _show(self, opened: Callable[[], Image]) -> None:
        try:
            self._image = opened()
        except LooptopError as error:
            self._picture.show_sentence(str(error), "$text-error")
            self._caption.update(safe(self._path.name if self._path else "", "$text-muted"))
            return
        self._draw()

    def await_view(self, path: Path, view: ModelView | None) -> None:
        """Stores the model's view of an image, to be shown now or when the image is opened."""
        if path == self._path and self._image is not None:
            self.seen_by_model = view
        else:
            self._awaited = (path, view)

    @property
    def seen_by_model(self) -> ModelView | None:
        """The model's view of this image, once it has answered a question about it."""
        return self._view

    @seen_by_model.setter
    def seen_by_model(self, view: ModelView | None) -> None:
        self._view = view
        if self._view_number:
            self._draw()

    def turn(self) -> None:
        """Switches to the next of `VIEW_NAMES`."""
        self._view_number = (self._view_number + 1) % len(VIEW_NAMES)
        self._draw()

    def _draw(self) -> None:
        if self._image is None or self._path is None:
            return
        self._caption.update(
            Content.assemble(
                safe(self._path.name), (" · ", "$text-muted"), (VIEW_NAMES[self._view_number], "$text-secondary")
            )
        )
        if self._view_number == 0:
            self._picture.show(self._image)
        elif self._view is None:
            self._picture.show_sentence("Ask a question about this image first: this shows what the model made of it.")
        else:
            self._picture.show(_seen(self._view) if self._view_number == 1 else _shaded_by_attention(self._view))


def thumbnail_of(path: Path) -> Image:
    """Opens an image, reduced to the size that a terminal can show."""
    from looptop.engine.vqa.images.decode import thumbnail

    return thumbnail(path, THUMBNAIL_SIZE)


def _known_to_be_good(path: Path) -> Image:
    """Opens a PNG file of the benchmark without loading the other decoders, which would take longer than the paint."""
    from PIL import Image as Images

    try:
        with Images.open(path, formats=("PNG",)) as image:
            return image.convert("RGB")
    except Exception:
        return thumbnail_of(path)


def _seen(view: ModelView) -> Image:
    from PIL import Image

    return Image.frombytes("RGB", view.size, view.rgb)


def _shaded_by_attention(view: ModelView) -> Image:
    """The model's image, darker where its attention is low: everybody can see a difference in brightness."""
    from PIL import Image, ImageChops

    highest = max((value for row in view.attention for value in row), default=0) or 1
    light = bytes(int(40 + 215 * value / highest) for row in view.attention for value in row)
    grid = Image.frombytes("L", (len(view.attention[0]), len(view.attention)), light)
    mask = grid.resize(view.size, Image.Resampling.BILINEAR).convert("RGB")
    return ImageChops.multiply(_seen(view), mask)
