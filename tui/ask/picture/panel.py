"""The chosen image on Ask, in one of several views (`views`), with what it shows in words below."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from looptop.engine.errors import LooptopError
from looptop.tui.ask.picture.views import PictureViews, ViewName
from looptop.tui.background import in_thread
from looptop.tui.text import safe
from looptop.tui.widgets.picture import Picture

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import ComposeResult

    from looptop.tui.screens.base import Services

OPENING_SECONDS = 0.5
"""Seconds after which a sentence says that an image is still being opened."""

THUMBNAIL_SIZE, SHARP_SIZE = (512, 512), (1024, 1024)
"""The largest size at which an image is kept, in pixels; the second on terminals that draw images."""


class PicturePanel(Vertical):
    """A picture, a line with its name and what is shown of it, and a sentence where there is room for one."""

    def __init__(self, views: PictureViews) -> None:
        """`views`: their first image is opened without a thread, since it is small and known to be valid."""
        super().__init__(id="picture-panel")
        self.border_title = "Image"
        self._picture = Picture(id="picture")
        self._caption = Static(id="caption")
        self._legend = Static(id="scale")
        self._meaning = Static(id="meaning")
        self._views = views
        self._image: Image | None = None
        self._path: Path | None = None
        """The image that is opened."""

    def compose(self) -> ComposeResult:
        """Picture above, words below."""
        yield self._picture
        yield self._caption
        yield self._legend
        yield self._meaning

    def on_mount(self) -> None:
        """Shows the first image."""
        self._views.listen(self._draw)
        if (path := self._views.subject.path) is not None:
            self._show(path, partial(_known_to_be_good, path))

    async def load(self, path: Path) -> None:
        """Opens an image and shows it, or shows what is wrong with it."""
        size = THUMBNAIL_SIZE if cast("Services", self.app).graphics.graphics is None else SHARP_SIZE
        future = in_thread(lambda: thumbnail_of(path, size))
        await asyncio.wait([future], timeout=OPENING_SECONDS)
        if not future.done():
            self._image = None
            self._picture.show_sentence(f"opening {path.name}…")
            await asyncio.wait([future])
        self._show(path, future.result)

    def _show(self, path: Path, opened: Callable[[], Image]) -> None:
        self._path, self._image = path.absolute(), None
        try:
            self._image = opened()
        except LooptopError as error:
            self._picture.show_sentence(str(error), "$text-error")
            self._write(safe(path.name, "$text-muted"))
            return
        self._draw()

    def _draw(self) -> None:
        """Draws the view, if its image is opened."""
        if self._image is None or self._path is None or self._path != self._views.subject.path:
            return
        drawing = self._views.draw(self._image, self.background_colors[1].rgb)
        if drawing.image is not None:
            self._picture.show(drawing.image)
        else:
            self._picture.show_sentence(drawing.sentence, "$text-error" if drawing.is_error else "$text-muted")
        title = Content.assemble(safe(self._path.name), (" · ", "$text-muted"), safe(drawing.title, "$text-secondary"))
        self._write(title, drawing.legend, safe(drawing.meaning, "$text-muted"))
        with_model = self._views.name is not ViewName.IMAGE
        self.border_subtitle = safe(self._views.subject.model) if with_model else None
        self.screen.refresh_bindings()

    def _write(self, title: Content, legend: Content | None = None, meaning: Content | None = None) -> None:
        for line, text in ((self._caption, title), (self._legend, legend), (self._meaning, meaning)):
            line.update(text or "")
            line.set_class(not text, "-empty")


def thumbnail_of(path: Path, size: tuple[int, int] = THUMBNAIL_SIZE) -> Image:
    """Opens an image, reduced to the size that a terminal can show."""
    from looptop.engine.vqa.images.decode import thumbnail

    return thumbnail(path, size)


def _known_to_be_good(path: Path) -> Image:
    """Opens a PNG file of the benchmark without loading the other decoders, which would take longer than the paint."""
    from PIL import Image as Images

    try:
        with Images.open(path, formats=("PNG",)) as image:
            return image.convert("RGB")
    except Exception:
        return thumbnail_of(path)
