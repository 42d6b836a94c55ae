"""An image in several sizes, so that any part of it is drawn from few pixels."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_KEPT_PIXELS = 100_000_000
"""Pixels that are kept of the largest size: three bytes each. A larger image is halved."""


class Pyramid:
    """An image, and its halves, quarters and so on, each made when it is first needed; from any thread.

    Args:
        image: RGB; it is not copied.
    """

    def __init__(self, image: Image) -> None:
        self.size = image.size
        while image.width * image.height > MAX_KEPT_PIXELS:
            image = image.reduce(2)
        self._levels = [image]
        self._lock = Lock()

    def part(self, box: tuple[float, float, float, float], size: tuple[int, int]) -> Image:
        """A part of the image, in a size.

        A small part is enlarged by whole pixels, so that it looks like what it is; a large one is averaged.

        Args:
            box: Left, top, right and bottom, in pixels of the image.
            size: Width and height of the result.
        """
        from PIL.Image import Resampling

        shrinks = min((box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1])
        level = 0
        while shrinks >= 2 ** (level + 1) and min(self._level(level).size) > 1:
            level += 1
        image = self._level(level)
        across, down = image.width / self.size[0], image.height / self.size[1]
        inside = (box[0] * across, box[1] * down, min(box[2] * across, image.width), min(box[3] * down, image.height))
        how = Resampling.NEAREST if shrinks <= 1 else Resampling.BOX if image.width < 2 else Resampling.LANCZOS
        return image.resize(size, how, box=inside)

    def _level(self, index: int) -> Image:
        with self._lock:
            while len(self._levels) <= index:
                self._levels.append(self._levels[-1].reduce(2))
            return self._levels[index]
