"""The chosen image over the whole screen, in any of its views, with zoom and pan."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Offset
from textual.widget import Widget
from textual.widgets import Static

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible
from looptop.tui.actions import bindings
from looptop.tui.ask.picture.panel import OPENING_SECONDS
from looptop.tui.ask.picture.views import PictureViews, ViewName
from looptop.tui.background import in_thread, work
from looptop.tui.screens.base import Overlay
from looptop.tui.text import safe
from looptop.tui.widgets.bars import KeyBar
from looptop.tui.widgets.picture import Picture
from looptop.tui.widgets.picture_pyramid import Pyramid
from looptop.tui.widgets.picture_viewport import STEP, Viewport

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

PAN = 0.25
"""How much of the room an arrow key moves the image."""

BESIDE_PIXELS = (1024, 1024)
"""The largest size of the image beside the model's input."""


class PannedPicture(Picture):
    """A picture that the mouse zooms and drags."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self._dragged_from: Offset | None = None

    def zoom(self, factor: float, at: tuple[float, float] = (0.0, 0.0)) -> None:
        """Zooms; the point `at`, from the middle, stays where it is."""
        if self.source is not None:
            self.show_part(self.viewport.zoomed(factor, self.source.size, self.room, at))

    def pan(self, across: float, down: float) -> None:
        """Shows what is further to the right and below, in widths of a cell."""
        if self.source is not None:
            self.show_part(self.viewport.moved(across, down, self.source.size, self.room))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zooms in at the pointer."""
        event.stop()
        self.zoom(STEP, self._from_middle(event))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zooms out at the pointer."""
        event.stop()
        self.zoom(1 / STEP, self._from_middle(event))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Begins to drag."""
        self._dragged_from = event.screen_offset
        self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drags the image along."""
        if self._dragged_from is not None:
            moved = self._dragged_from - event.screen_offset
            self._dragged_from = event.screen_offset
            self.pan(moved.x, moved.y * self.row_height)

    def on_mouse_up(self) -> None:
        """Lets go."""
        self._dragged_from = None
        self.release_mouse()

    def _from_middle(self, event: events.MouseEvent) -> tuple[float, float]:
        width, height = self.room
        inside = event.get_content_offset_capture(self)
        return inside.x + 0.5 - width / 2, (inside.y + 0.5) * self.row_height - height / 2


class LargeView(Overlay[None]):
    """The image, and below it what is shown of it."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("viewer")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("viewer",)

    def __init__(self, path: Path, views: PictureViews) -> None:
        """`path`: the chosen image, which `views` are of."""
        super().__init__()
        self._path, self._views = path, views
        self._picture = PannedPicture(id="large-picture")
        self._caption, self._legend, self._meaning = (Static(id=each) for each in ("caption", "scale", "meaning"))
        self._whole: Pyramid | None = None
        self._beside: Image | None = None
        self._stop_listening: Callable[[], None] = lambda: None

    def compose(self) -> Iterable[Widget]:
        """Picture, words, keys."""
        yield self._picture
        yield Vertical(self._caption, self._legend, self._meaning, id="words")
        yield KeyBar()

    def on_mount(self) -> None:
        """Opens the image in its whole size."""
        self._stop_listening = self._views.listen(self._draw)
        work(self, self._open(), "open")

    def on_unmount(self) -> None:
        """Draws no more."""
        self._stop_listening()

    async def _open(self) -> None:
        future = in_thread(lambda: opened(self._path))
        await asyncio.wait([future], timeout=OPENING_SECONDS)
        if not future.done():
            self._picture.show_sentence(f"opening {self._path.name}…")
        try:
            self._whole, self._beside = await future
        except LooptopError as error:
            self._picture.show_sentence(str(error), "$text-error")
            return
        self._draw()

    def _draw(self) -> None:
        if self._whole is None or self._beside is None:
            return
        drawing = self._views.draw(self._beside, self.background_colors[1].rgb)
        if drawing.image is not None:
            self._picture.show(self._whole if self._views.name is ViewName.IMAGE else drawing.image)
        else:
            self._picture.show_sentence(drawing.sentence, "$text-error" if drawing.is_error else "$text-muted")
        width, height = self._whole.size
        parts: list[tuple[str, str]] = [(f"  {width}x{height} pixels", "$text-muted")]
        if self._views.name is not ViewName.IMAGE:
            parts = [(f"  {visible(self._views.subject.model)}", "$text-muted")]
        title = Content.assemble(safe(self._path.name), " · ", safe(drawing.title, "$text-secondary"), *parts)
        for line, text in (
            (self._caption, title),
            (self._legend, drawing.legend),
            (self._meaning, safe(drawing.meaning, "$text-muted")),
        ):
            line.update(text or "")
            line.set_class(not text, "-empty")
        self.refresh_bindings()

    def hides_key(self, action: str) -> bool:
        """Whether the bottom line leaves out an action, since it would do nothing now."""
        return self._views.hides_key(action)

    # Keys.

    def action_zoom(self, steps: int) -> None:
        """Zooms in or out at the middle."""
        self._picture.zoom(STEP**steps)

    def action_fit(self) -> None:
        """Shows the whole image."""
        self._picture.show_part(Viewport())

    def action_pan(self, across: int, down: int) -> None:
        """Moves over the image."""
        width, height = self._picture.room
        self._picture.pan(across * PAN * width, down * PAN * height)

    def action_view(self) -> None:
        """Shows the next view, as a whole."""
        self._picture.show_part(Viewport())
        self._views.turn()

    def action_next_part(self) -> None:
        """Shows the next head or token."""
        self._views.next_part()

    def action_strength(self, step: int) -> None:
        """Darkens less or more."""
        self._views.change_strength(step)


def opened(path: Path) -> tuple[Pyramid, Image]:
    """The image in its whole size, and reduced to stand beside the model's input; in a thread.

    Raises:
        LooptopError: The image cannot be read.
    """
    from looptop.engine.vqa.images.decode import open_image

    image = open_image(path)
    whole = Pyramid(image)
    scale = min(1.0, BESIDE_PIXELS[0] / image.width, BESIDE_PIXELS[1] / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return whole, whole.part((0, 0, *image.size), size)
