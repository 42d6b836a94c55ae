"""Encodes a picture for the terminal, in at most as many bytes as it may cost."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from looptop.tui.terminal.graphics import Graphics, Protocol
from looptop.tui.terminal.graphics_iterm2 import iterm2_image
from looptop.tui.terminal.graphics_kitty import kitty_image
from looptop.tui.terminal.graphics_sixel import BAND, sixel_image

if TYPE_CHECKING:
    from PIL.Image import Image

PNG_LEVEL = 3
JPEG_QUALITY = 85
SIXEL_COLOURS = (256, 64, 16)
SMALLEST = 64
"""Pixels of the longer side below which a picture is not reduced further."""


class Graphic(NamedTuple):
    """An encoded picture."""

    draw: str
    """Draws it, with the cursor at its top left."""
    remove: str
    """Removes it; empty if text that is written over it does."""
    columns: int
    rows: int


def encode(graphics: Graphics, picture: Callable[[tuple[int, int]], Image], columns: int, rows: int) -> Graphic | None:
    """Encodes a picture; in a thread.

    Args:
        graphics: How the terminal draws.
        picture: Makes the picture in a size, in pixels.
        columns: Its width in cells.
        rows: Its height in cells.

    Returns:
        None if it cannot be drawn in the bytes allowed: half blocks are shown then.
    """
    width, height = columns * graphics.cell[0], rows * graphics.cell[1]
    if graphics.protocol is Protocol.SIXEL:
        return _sixel(graphics, picture((width, height)), columns, rows) if _fits(graphics, width, height) else None
    while True:
        image = picture((max(1, width), max(1, height)))
        for file in _files(image, graphics.protocol):
            if len(file) * 4 / 3 <= graphics.most_bytes:
                if graphics.protocol is Protocol.KITTY:
                    return Graphic(*kitty_image(file, columns, rows), columns, rows)
                return Graphic(iterm2_image(file, columns, rows), "", columns, rows)
        if max(width, height) <= SMALLEST:
            return None
        width, height = width // 2, height // 2


def _fits(graphics: Graphics, width: int, height: int) -> bool:
    largest = graphics.largest
    return height >= BAND and (largest is None or (width <= largest[0] and height <= largest[1]))


def _sixel(graphics: Graphics, image: Image, columns: int, rows: int) -> Graphic | None:
    for colours in SIXEL_COLOURS:
        text = sixel_image(image, colours)
        if len(text) <= graphics.most_bytes:
            return Graphic(text, "", columns, rows)
    return None


def _files(image: Image, protocol: Protocol) -> list[bytes]:
    """The image as files, the best first. kitty reads no JPEG."""
    png, jpeg = io.BytesIO(), io.BytesIO()
    image.save(png, "PNG", compress_level=PNG_LEVEL)
    if protocol is Protocol.KITTY:
        return [png.getvalue()]
    image.save(jpeg, "JPEG", quality=JPEG_QUALITY)
    return [png.getvalue(), jpeg.getvalue()]
