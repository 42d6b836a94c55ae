"""The part of an image that is shown: how far it is zoomed, and where.

Widths and heights of the room are in widths of a cell, so that a square of the image is a square on the terminal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

STEP = 1.5
"""How much one key or one turn of the wheel zooms."""

LARGEST_PIXEL = 8.0
"""The greatest width of a pixel of the image, in widths of a cell."""


class Visible(NamedTuple):
    """What is visible of an image, and how large."""

    box: tuple[float, float, float, float]
    """Left, top, right and bottom in pixels of the image."""
    width: float
    height: float


@dataclass(frozen=True)
class Viewport:
    """A part of an image, whatever the size of the image and of the room."""

    zoom: float = 1.0
    """1 shows the whole image as large as possible."""
    x: float = 0.5
    """The middle of the part, as a fraction of the image's width."""
    y: float = 0.5

    def visible(self, image: tuple[int, int], room: tuple[float, float]) -> Visible:
        """What is visible of an image in a room."""
        scale = _fit(image, room) * self.zoom
        width, height = min(image[0] * scale, room[0]), min(image[1] * scale, room[1])
        across, down = width / scale, height / scale
        left = _clamped(self.x * image[0] - across / 2, 0.0, image[0] - across)
        top = _clamped(self.y * image[1] - down / 2, 0.0, image[1] - down)
        return Visible((left, top, left + across, top + down), width, height)

    def zoomed(
        self, factor: float, image: tuple[int, int], room: tuple[float, float], at: tuple[float, float] = (0.0, 0.0)
    ) -> Viewport:
        """Zoomed in or out; the pixel at a point of the room stays where it is, if the image's edges allow.

        Args:
            factor: Above 1 zooms in.
            image: The image's size.
            room: The room's size.
            at: The point, from the room's middle.
        """
        fit = _fit(image, room)
        zoom = _clamped(self.zoom * factor, 1.0, max(1.0, LARGEST_PIXEL / fit))
        before, after = 1 / (fit * self.zoom), 1 / (fit * zoom)
        here = self._centred(image, room)
        return replace(
            self,
            zoom=zoom,
            x=here.x + at[0] * (before - after) / image[0],
            y=here.y + at[1] * (before - after) / image[1],
        )._centred(image, room)

    def moved(self, across: float, down: float, image: tuple[int, int], room: tuple[float, float]) -> Viewport:
        """Shows what is further to the right and below.

        Args:
            across: How far, in units of the room.
            down: The same.
            image: The image's size.
            room: The room's size.
        """
        scale = _fit(image, room) * self.zoom
        here = self._centred(image, room)
        moved = replace(here, x=here.x + across / scale / image[0], y=here.y + down / scale / image[1])
        return moved._centred(image, room)

    def _centred(self, image: tuple[int, int], room: tuple[float, float]) -> Viewport:
        """The same part, with its middle where it really is."""
        left, top, right, bottom = self.visible(image, room).box
        return replace(self, x=(left + right) / 2 / image[0], y=(top + bottom) / 2 / image[1])


def _fit(image: tuple[int, int], room: tuple[float, float]) -> float:
    return min(room[0] / image[0], room[1] / image[1])


def _clamped(value: float, low: float, high: float) -> float:
    return max(low, min(value, high))
