"""Draws a model's views of an image: before and after its preparation, and grids of figures as brightness.

In threads; Pillow is imported when the first picture is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from looptop.engine.vqa.views.records import Grid, PreparedPixels

STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0)
"""How much of its brightness the darkest patch loses."""

DEFAULT_STRENGTH = 2
GAP = 16
"""Parts of the height that lie between two images side by side."""


def prepared_image(pixels: PreparedPixels) -> Image:
    """The model's input as an image."""
    from PIL import Image

    return Image.frombytes("RGB", pixels.size, pixels.rgb)


def side_by_side(before: Image, after: Image, ground: tuple[int, int, int]) -> Image:
    """Two images of the same height, with a gap in the colour of the ground between them."""
    from PIL import Image

    height = max(before.height, after.height)
    left, right = _of_height(before, height), _of_height(after, height)
    gap = max(1, height // GAP)
    both = Image.new("RGB", (left.width + gap + right.width, height), ground)
    both.paste(left, (0, 0))
    both.paste(right, (left.width + gap, 0))
    return both


def _of_height(image: Image, height: int) -> Image:
    from PIL import Image

    if image.height == height:
        return image
    # Pixels of a small image stay squares, so that it looks as coarse as it is.
    return image.resize((max(1, round(image.width * height / image.height)), height), Image.Resampling.NEAREST)


def shaded(image: Image, brightness: Grid, strength: float) -> Image:
    """The image with each patch darkened.

    Args:
        image: The model's input.
        brightness: From 0, the darkest patch, to 1, which stays as it is.
        strength: How much of its brightness the darkest patch loses, from 0 to 1.
    """
    from PIL import Image, ImageChops

    light = bytes(round(255 * (1 - strength * (1 - value))) for row in brightness for value in row)
    grid = Image.frombytes("L", (len(brightness[0]), len(brightness)), light)
    # One value for each patch is all that is known, so patches have edges.
    mask = grid.resize(image.size, Image.Resampling.NEAREST)
    return ImageChops.multiply(image, mask.convert("RGB"))


def scaled(grid: Grid) -> tuple[Grid, float, float]:
    """The grid scaled to the range from 0 to 1, and its lowest and highest value; all 1 if they are equal."""
    values = [value for row in grid for value in row]
    low, high = min(values), max(values)
    if high <= low:
        return [[1.0] * len(row) for row in grid], low, high
    return [[(value - low) / (high - low) for value in row] for row in grid], low, high


def inverted(grid: Grid) -> Grid:
    """The grid with 1 minus each value."""
    return [[1 - value for value in row] for row in grid]
