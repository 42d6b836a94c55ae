"""What a model makes of an image, as records that processes exchange: the image as it is prepared, attention, the
occlusion map. Imports no torch.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Grid = list[list[float]]
"""One number for each patch of an image, row by row."""

Size = tuple[int, int]
"""Width and height in pixels."""

ViewKind = Literal["image", "tokens", "occlusion"]
"""What a view shows: the prepared image and the image encoder's attention, the cross-attention of the answer's tokens,
or the occlusion map."""


class Resized(Struct, frozen=True, tag="resized"):
    """The image was scaled."""

    before: Size
    after: Size
    resampling: str
    """Pillow's name of the filter, in lower case: `bilinear`, `bicubic`, …; empty if it is not known."""


class Cropped(Struct, frozen=True, tag="cropped"):
    """The middle of the image was cut out."""

    before: Size
    after: Size


class Padded(Struct, frozen=True, tag="padded"):
    """A border was added."""

    before: Size
    after: Size


class Rescaled(Struct, frozen=True, tag="rescaled"):
    """The values, 0 to 255, were multiplied by a factor."""

    factor: float


class Normalised(Struct, frozen=True, tag="normalised"):
    """From each channel its mean was subtracted, and the rest divided by its standard deviation."""

    mean: list[float]
    std: list[float]


class OwnStep(Struct, frozen=True, tag="own"):
    """The image processor changed the size in code of its own that no other step describes."""

    processor: str
    """The name of its class."""
    before: Size
    after: Size


PreparationStep = Resized | Cropped | Padded | Rescaled | Normalised | OwnStep


class PreparedPixels(Struct, frozen=True):
    """The model's input, with its normalisation undone."""

    size: Size
    rgb: bytes
    """Three bytes for each pixel, row by row."""


class ImageView(Struct, frozen=True, tag="image"):
    """The image before and after its preparation (figure 7.2), and the image encoder's attention (figure 7.4)."""

    before: Size
    """Of the upright image."""
    pixels: PreparedPixels
    steps: list[PreparationStep]
    heads: list[Grid] | None
    """For each head of the last layer, the attention of the class token to each patch. What is left to 1 goes to the
    encoder's other states. None if the encoder has no class token or returns no attention."""
    fusion: str
    """The model's fusion, `mean` or `tokens`."""


class TokenAttention(Struct, frozen=True):
    """The decoder's cross-attention when it wrote one token of the answer, averaged over layers and heads."""

    token: str
    grid: Grid
    """The attention to each patch. What is left to 1 goes to the question's tokens and the encoder's other states."""


class TokenView(Struct, frozen=True, tag="tokens"):
    """The cross-attention of each token of an answer (figure 7.5). With fusion `tokens` only: with `mean`, all of it
    goes to one vector.
    """

    answer: str
    pixels: PreparedPixels
    tokens: list[TokenAttention]
    """The last one is the answer's end."""


class OcclusionMap(Struct, frozen=True, tag="occlusion"):
    """The probability of an answer with each square of the image greyed out (Zeiler and Fergus 2014,
    arXiv:1311.2901, section 4.2).
    """

    answer: str
    """The model's answer to the question."""
    pixels: PreparedPixels
    probability: float
    """Its probability for the whole image."""
    grid: Grid
    """Its probability with each square greyed out."""
    square: Size
    """Of a square in the model's input, in pixels; the last row and the last column may be smaller."""


View = ImageView | TokenView | OcclusionMap


class Progress(Struct, frozen=True):
    """How far a view is."""

    done: int
    total: int


def mean_grid(grids: list[Grid]) -> Grid:
    """The mean of several grids of one shape."""
    return [[sum(values) / len(grids) for values in zip(*rows, strict=True)] for rows in zip(*grids, strict=True)]
