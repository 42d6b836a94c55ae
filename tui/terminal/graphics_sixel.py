"""Images as sixels (DEC STD 070, chapter 9): bands of six pixels' height, one line of characters for each colour.

numpy is imported with the first image: only terminals that draw sixels need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import ndarray
    from PIL.Image import Image

BAND = 6
"""Pixels in the height of a band."""

PALETTE_PIXELS = 150
"""Width and height of the reduced image that the palette is made from."""


def sixel_image(image: Image, colours: int = 256) -> str:
    """The sequence that draws an image with the cursor at its top left.

    Args:
        image: RGB, in the pixels of the terminal. Rows below the last whole band are left out, so that no cell below
            the image is touched.
        colours: The most colours.
    """
    import numpy as np
    from PIL.Image import Dither, Resampling

    if image.getcolors(colours) is None:  # A palette of all pixels would take six times as long.
        small = image.resize((min(image.width, PALETTE_PIXELS), min(image.height, PALETTE_PIXELS)), Resampling.NEAREST)
        indexed = image.quantize(palette=small.quantize(colours), dither=Dither.NONE)
    else:
        indexed = image.quantize(colours)
    palette = indexed.getpalette() or []
    pixels = np.asarray(indexed)
    height = pixels.shape[0] // BAND * BAND
    used = np.unique(pixels[:height])
    # P2=1: pixels that are not drawn keep what is below them. Raster: square pixels, width and height.
    parts = [f'\x1bP0;1q"1;1;{pixels.shape[1]};{height}']
    for colour in used.tolist():
        red, green, blue = (round(value * 100 / 255) for value in palette[3 * colour : 3 * colour + 3])
        parts.append(f"#{colour};2;{red};{green};{blue}")
    for top in range(0, height, BAND):
        parts.append(_band(pixels[top : top + BAND]))
    return "".join(parts) + "\x1b\\"


def _band(pixels: ndarray) -> str:
    """The characters of one band: for each colour a line, `$` back to the left, `-` to the next band.

    Args:
        pixels: `[6, width]`, indices of colours.
    """
    import numpy as np

    colours, line_of_pixel = np.unique(pixels, return_inverse=True)
    line_of_pixel = line_of_pixel.reshape(pixels.shape)
    width = pixels.shape[1]
    codes = np.zeros((len(colours), width), dtype=np.uint8)
    columns = np.arange(width)
    for row in range(BAND):
        codes[line_of_pixel[row], columns] |= 1 << row
    # Runs of equal codes, in all lines at once; each line begins a run.
    is_start = np.ones_like(codes, dtype=bool)
    is_start[:, 1:] = codes[:, 1:] != codes[:, :-1]
    starts = np.flatnonzero(is_start)
    lengths = np.diff(np.append(starts, codes.size)).tolist()
    values = codes.reshape(-1)[starts].tolist()
    lines, line = [], -1
    parts: list[str] = []
    for start, length, value in zip(starts.tolist(), lengths, values, strict=True):
        if start // width != line:
            line = start // width
            parts = [f"#{colours[line]}"]
            lines.append(parts)
        if value or start % width + length < width:  # Nothing is drawn at the end of the line.
            char = chr(63 + value)
            parts.append(char * length if length < 4 else f"!{length}{char}")
    return "$".join("".join(parts) for parts in lines) + "-"
