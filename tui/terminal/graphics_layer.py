"""Draws images over the half blocks of widgets, straight to the terminal, after each frame.

Textual cuts lines into cells, so an image cannot be part of them. A widget draws half blocks always; this layer draws
the image over them while all of the image's cells are visible, and removes it as soon as a dialog, a notice or another
screen lies over the widget, or it moves. So nothing is left behind, and no text is covered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.geometry import Offset, Region

if TYPE_CHECKING:
    from textual.app import App
    from textual.screen import Screen
    from textual.widget import Widget

    from looptop.tui.terminal.graphics import Graphics
    from looptop.tui.terminal.graphics_encoding import Graphic

MAX_BACKLOG = 65_536
"""While more characters than this wait for the terminal, no image is written; a newer one may replace it meanwhile."""

RETRY_SECONDS = 0.1


@dataclass
class _PlacedImage:
    """A widget's image."""

    graphic: Graphic
    offset: Offset
    """From the top left of the widget's content, in cells."""
    drawn: tuple[Graphic, Region] | None = None
    """What is on the terminal, and where on the screen."""


class GraphicsLayer:
    """The images on the terminal.

    Args:
        app: The app that is on the terminal.
    """

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._images: dict[Widget, _PlacedImage] = {}
        self.graphics: Graphics | None = None
        """How the terminal draws images; None if it has not said that it can."""

    def use(self, graphics: Graphics) -> None:
        """The terminal has said that it draws images. Without colours none is drawn."""
        if self._app.no_color:
            return
        self.graphics = graphics
        if self._app.screen_stack:
            self._app.screen.query("Picture").refresh()

    def write(self, text: str) -> None:
        """Writes to the terminal, after what was written before."""
        if text and self._app._driver is not None:
            self._app._driver.write(text)

    @property
    def backlog(self) -> int:
        """Characters that wait for the terminal."""
        return getattr(self._app._driver, "backlog", 0)

    @property
    def is_behind(self) -> bool:
        """Whether the terminal has much to read before it can show something new."""
        return self.backlog > MAX_BACKLOG

    def set(self, widget: Widget, graphic: Graphic | None, offset: Offset = Offset(0, 0)) -> None:  # noqa: B008
        """Gives a widget its image, which replaces an earlier one; it is drawn now if the widget is visible.

        Args:
            widget: The widget, whose half blocks have been drawn.
            graphic: The image; None for none.
            offset: Where the image begins, from the top left of the widget's content.
        """
        placed = self._images.get(widget)
        if graphic is not None:
            self._images[widget] = _PlacedImage(graphic, offset, placed.drawn if placed is not None else None)
            if self._app.screen_stack:
                self._update(widget, self._images[widget], None)
        elif placed is not None:
            self._remove(placed)
            del self._images[widget]

    def outdate(self, widget: Widget) -> None:
        """Forgets an image that new text overwrites; one that lies over text stays until a newer one comes."""
        placed = self._images.get(widget)
        if placed is not None and not placed.graphic.remove:
            del self._images[widget]

    def is_drawn(self, widget: Widget) -> bool:
        """Whether a widget's image is on the terminal."""
        placed = self._images.get(widget)
        return placed is not None and placed.drawn is not None

    def forget(self) -> None:
        """Another program has drawn over the terminal; all images are drawn again after the next frame."""
        for placed in self._images.values():
            placed.drawn = None

    def remove(self) -> None:
        """Removes all images, because the app leaves the terminal, for a while or for good."""
        for placed in self._images.values():
            self._remove(placed)

    def after_frame(self, update: object) -> None:
        """Draws and removes images after a frame was written.

        Args:
            update: What was written.
        """
        app = self._app
        if not isinstance(update, CompositorUpdate) or app._batch_count or not app.screen_stack:
            return
        for widget, placed in list(self._images.items()):
            if not widget.is_attached:
                self._remove(placed)
                del self._images[widget]
                continue
            self._update(widget, placed, update)

    def _update(self, widget: Widget, placed: _PlacedImage, update: CompositorUpdate | None) -> None:
        """Draws or removes a widget's image, after a frame was written or without one."""
        region = _visible_region(self._app.screen, widget, placed)
        if region is None:
            was_drawn = placed.drawn is not None
            self._remove(placed)
            if was_drawn:
                widget.refresh()  # Its half blocks are written over what was drawn.
        elif placed.drawn != (placed.graphic, region) or (not placed.graphic.remove and _touches(update, region)):
            self._draw(widget, placed, region)

    def _draw(self, widget: Widget, placed: _PlacedImage, region: Region) -> None:
        if self.is_behind:
            if not placed.graphic.remove:
                placed.drawn = None  # Text has been written over it.
            widget.set_timer(RETRY_SECONDS, partial(self._retry, widget, placed))
            return
        before, placed.drawn = placed.drawn, (placed.graphic, region)
        move_cursor = f"\x1b7\x1b[{region.y + 1};{region.x + 1}H"
        remove = before[0].remove if before is not None else ""
        if before is not None and before[0] is placed.graphic:
            self.write(remove)  # It has the same name as the one that is drawn, at another position.
            remove = ""
        self.write(f"{move_cursor}{placed.graphic.draw}\x1b8{remove}")

    def _retry(self, widget: Widget, placed: _PlacedImage) -> None:
        if self._images.get(widget) is placed and widget.is_attached and self._app.screen_stack:
            self._update(widget, placed, None)

    def _remove(self, placed: _PlacedImage) -> None:
        if placed.drawn is not None:
            self.write(placed.drawn[0].remove)
            placed.drawn = None


def _visible_region(screen: Screen[Any], widget: Widget, placed: _PlacedImage) -> Region | None:
    """The cells of a widget's image on the terminal; None if one of them is not visible."""
    if widget.screen is not screen:
        return None
    content = widget.content_region
    region = Region(*(content.offset + placed.offset), placed.graphic.columns, placed.graphic.rows)
    if region.intersection(content) != region:
        return None  # The widget has another size by now; its new image is on its way.
    layers = screen._compositor.layers_visible
    if region.bottom > len(layers):
        return None
    for y in range(region.y, region.bottom):
        for other, cropped, _ in layers[y]:
            if other is widget:
                if not (cropped.x <= region.x and region.right <= cropped.right):
                    return None
                break
            if cropped.x < region.right and region.x < cropped.right:
                return None
        else:
            return None
    return region


def _touches(update: CompositorUpdate | None, region: Region) -> bool:
    """Whether a part of a frame was written into a region."""
    if update is None:
        return False
    if isinstance(update, ChopsUpdate):
        return any(region.y <= y < region.bottom and x1 < region.right and region.x < x2 for y, x1, x2 in update.spans)
    return not isinstance(update, LayoutUpdate) or bool(update.region.intersection(region))
