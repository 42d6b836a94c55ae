"""Opens any image a person may bring as upright RGB, or says in one sentence what is wrong with it.

Without torch: the app shows images with it. Very large images: a JPEG of more than 89 million pixels is decoded at a
half, a quarter or an eighth of its size, which libjpeg does without holding the whole; any other image of more than
178 million pixels (Pillow's own limit) is refused, since it could only be decoded whole, at four bytes a pixel.
"""

from __future__ import annotations

import os
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from looptop.engine.errors import LooptopError, said_of
from looptop.engine.text import visible

if TYPE_CHECKING:
    import numpy as np

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "MPO", "PPM", "ICO", "TGA", "JPEG2000", "AVIF")
"""What is opened. Pillow knows more, some of which start other programs (EPS)."""

SUFFIXES = frozenset(
    f".{suffix}"
    for names in ("jpg jpeg jpe jfif mpo png apng gif webp bmp tif tiff", "ppm pgm pbm ico tga jp2 avif")
    for suffix in names.split()
)
"""File names that end so are taken for images when a folder is listed."""

LARGE = 89_478_485
"""Pixels above which a JPEG is decoded at a smaller scale."""

LARGEST = 2 * LARGE
"""Pixels above which any other image is refused."""

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow warns on stderr about oddities of files; what matters comes as an error, and stderr may be a drawn screen.
warnings.filterwarnings("ignore", module=r"PIL\.")


def open_image(path: str | os.PathLike[str]) -> Image.Image:
    """Decodes an image: upright (EXIF), transparency on white, 16 bits scaled to 8, the first frame of several.

    Raises:
        LooptopError: It is missing, empty, truncated, a directory, not an image, or too large.
    """
    return _decode(Path(path), None)


def thumbnail(path: str | os.PathLike[str], size: tuple[int, int]) -> Image.Image:
    """The image reduced to fit into `size` (width, height), proportions kept; a smaller image stays as it is.

    Raises:
        LooptopError: As `open_image`.
    """
    image = _decode(Path(path), 2 * max(size))
    image.thumbnail(size, Image.Resampling.BICUBIC)
    return image


def check_image(path: str | os.PathLike[str]) -> None:
    """Looks for damage without decoding where that is possible: header, checksums (PNG), the end mark (JPEG).

    Raises:
        LooptopError: As `open_image`. Other damage (inside a JPEG's data, in a GIF) is only found by decoding.
    """
    path = Path(path)
    try:
        with _open(path) as image:
            image_format = image.format
            image.verify()
    except LooptopError:
        raise
    except Exception as error:
        raise _damaged(path, error) from None
    if image_format in ("JPEG", "MPO") and not _ends_as_jpeg(path):
        # Bytes may follow the end mark in a good file, so only decoding can tell.
        open_image(path)


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image when a folder is listed."""
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 (a Path for each of 80,000 names is slow)


def _decode(path: Path, enough: int | None) -> Image.Image:
    """Decodes; `enough`: pixels on each side beyond which a JPEG may be decoded at a smaller scale."""
    try:
        with _open(path) as image:
            _reduce_jpeg(image, enough)
            image.load()
            return _to_rgb(_turn_upright(image))
    except LooptopError:
        raise
    except MemoryError:
        raise LooptopError(f"the image {visible(path)} does not fit into memory; make it smaller first") from None
    except Exception as error:  # Decoders meet every kind of damage, and raise every kind of error.
        raise _damaged(path, error) from None


def _open(path: Path) -> Image.Image:
    """Reads the header."""
    name = visible(path)
    try:
        info = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise LooptopError(f"there is no image {name}") from None
    except (OSError, ValueError) as error:
        raise LooptopError(f"cannot open the image {name}: {said_of(error)}") from None
    if stat.S_ISDIR(info.st_mode):
        raise LooptopError(f"{name} is a directory; name an image in it")
    if not stat.S_ISREG(info.st_mode):
        raise LooptopError(f"{name} is not a file")
    if info.st_size == 0:
        raise LooptopError(f"the image {name} is empty (0 bytes)")
    try:
        return Image.open(path, formats=_formats())
    except Image.DecompressionBombError:
        return _open_huge(path)
    except UnidentifiedImageError:
        raise LooptopError(f"{name} is not an image that looptop can read (or its beginning is damaged)") from None
    except PermissionError:
        raise LooptopError(f"cannot open the image {name}: you may not read it") from None


def _formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _open_huge(path: Path) -> Image.Image:
    """A JPEG beyond Pillow's limit, to be decoded at a smaller scale; anything else is refused."""
    refusal = LooptopError(
        f"the image {visible(path)} has more than {LARGEST // 1_000_000} million pixels; make it smaller first"
    )
    try:
        image = JpegImagePlugin.JpegImageFile(path)
    except SyntaxError:
        raise refusal from None
    if image.info.get("progressive"):
        # libjpeg holds all coefficients of a progressive file, whatever the scale.
        image.close()
        raise refusal
    return image


def _reduce_jpeg(image: Image.Image, enough: int | None) -> None:
    """Sets the scale at which a large JPEG is decoded."""
    width, height = image.size
    scale = 1
    if enough is not None:
        while scale < 8 and max(width, height) >= 2 * scale * enough:
            scale *= 2
    while scale < 8 and width * height > LARGE * scale * scale:
        scale *= 2
    if scale > 1 and isinstance(image, JpegImagePlugin.JpegImageFile):
        image.draft(image.mode, (max(width // scale, 1), max(height // scale, 1)))


def _turn_upright(image: Image.Image) -> Image.Image:
    try:
        turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # Damaged EXIF does not make the picture worse.
        return image
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        import numpy as np  # Here alone: the app opens images before its first paint, and has no need of numpy.

        return Image.fromarray(_to_bytes(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        page = Image.new("RGB", image.size, "white")
        page.paste(layer, mask=layer)
        return page
    return image.convert("RGB")


def _to_bytes(values: np.ndarray) -> np.ndarray:
    """One channel of more than 8 bits, scaled to 8: 16 bits by their range; wider numbers by what they hold."""
    import numpy as np

    if values.dtype.itemsize == 2:
        return (values >> 8).astype(np.uint8)
    values = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = values.min(), values.max()
    if low >= 0 and high <= 1 and high > 0 and (values % 1).any():
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    scaled: np.ndarray = ((values - low) * (255 / max(high - low, 1e-300))).round().astype(np.uint8)
    return scaled


def _ends_as_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-2, os.SEEK_END)
        return file.read() == b"\xff\xd9"


def _damaged(path: Path, error: Exception) -> LooptopError:
    return LooptopError(f"the image {visible(path)} is damaged or cut off: {said_of(error)}")
