"""Opens an image file as upright RGB, or raises an error of one sentence.

The app uses this module, so it does not import torch. A JPEG of more than 89 million pixels is decoded at a half, a
quarter or an eighth of its size, which libjpeg does without holding the whole image. Any other image of more than 178
million pixels (Pillow's own limit) is refused: it could only be decoded whole, at four bytes a pixel.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, JpegImagePlugin, UnidentifiedImageError, features

from looptop.engine.errors import LooptopError, error_text
from looptop.engine.text import visible
from looptop.engine.vqa.images import unsupported_formats
from looptop.engine.vqa.images.damaged_jpeg import decode_without_eoi, ignore_bad_metadata
from looptop.engine.vqa.images.png_file import SIGNATURE, PngFile

if TYPE_CHECKING:
    import numpy as np

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "MPO", "PPM", "ICO", "TGA", "JPEG2000", "AVIF")
"""The supported formats. Pillow knows more; for some (EPS) it starts other programs."""

SUFFIXES = frozenset(
    f".{suffix}"
    for names in ("jpg jpeg jpe jfif mpo png apng gif webp bmp tif tiff", "ppm pgm pbm ico tga jp2 avif")
    for suffix in names.split()
)
"""The endings of the names of supported files."""

_IMAGE_SUFFIXES = SUFFIXES.union(unsupported_formats.SUFFIXES)

MAX_UNSCALED_PIXELS = 89_478_485
"""The number of pixels above which a JPEG is decoded at a smaller scale: half of Pillow's limit."""

_ORIENTATION = 0x0112
# TIFF's tags
_SUBFILE_TYPE, _BITS, _PHOTOMETRIC, _SAMPLES, _SUB_IFDS = 254, 258, 262, 277, 330
_SAMPLE_FORMAT, _DNG_VERSION = 339, 50706
_MIN_IS_WHITE = 0
_NO_END = "looptop: no end mark"
_UNSIGNED = 1
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow warns on stderr about odd files. Real problems are raised as errors, and the app may be drawn on the terminal.
warnings.filterwarnings("ignore", module=r"PIL\.")


class UnsupportedFormatError(LooptopError):
    """The file has a known format that is not supported, or is known not to be an image."""


def open_image(path: str | os.PathLike[str]) -> Image.Image:
    """Decodes an image: upright (EXIF), transparency on white, 16 bits scaled to 8, the first of several frames.

    Raises:
        LooptopError: The file is missing, empty, truncated, a directory, not an image, or too large.
    """
    return _decode(Path(path), None)


def thumbnail(path: str | os.PathLike[str], size: tuple[int, int]) -> Image.Image:
    """The image reduced to fit into `size` (width, height), proportions kept; a smaller image keeps its size.

    Raises:
        LooptopError: As for `open_image`.
    """
    image = _decode(Path(path), 2 * max(size))
    image.thumbnail(size, Image.Resampling.BICUBIC)
    return image


def check_image(path: str | os.PathLike[str]) -> None:
    """Checks an image for damage, mostly without decoding it: header, checksums (PNG), the end mark (JPEG).

    Raises:
        LooptopError: As for `open_image`. Other damage (inside a JPEG's data, in a GIF) is only noticed when decoding.
    """
    path = Path(path)
    try:
        with _open(path) as image:
            image_format = image.format
            has_end = _NO_END not in image.info
            if has_end:
                image.verify()
    except LooptopError:
        raise
    except Exception as error:
        raise _damaged(path, error) from None
    if not has_end or (image_format in ("JPEG", "MPO") and not _ends_as_jpeg(path)):
        # A good JPEG may have bytes after its end mark, and a good PNG may lack it, so only decoding can tell.
        open_image(path)


def has_image_suffix(name: str) -> bool:
    """Whether the name has the ending of an image, also if its format is not supported."""
    return name[name.rfind(".") :].lower() in _IMAGE_SUFFIXES  # A Path, or splitext, for each of 200,000 names is slow.


def has_supported_suffix(name: str) -> bool:
    """Whether the name has the ending of a supported format."""
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 (a Path for each of 80,000 names is slow)


def _decode(path: Path, min_longer_side: int | None) -> Image.Image:
    """Decodes the image; a JPEG may be scaled down while its longer side stays above `min_longer_side` pixels."""
    try:
        with _open(path) as image:
            _reduce_jpeg(image, min_longer_side)
            loaded = _load(image, path)
            transposition = _orientation(loaded)
            picture = _to_rgb(loaded)
            return picture if transposition is None else picture.transpose(transposition)
    except LooptopError:
        raise
    except MemoryError:
        raise LooptopError(f"the image {visible(path)} does not fit into memory; make it smaller first") from None
    except Exception as error:  # On damaged files, decoders raise errors of any type.
        raise _damaged(path, error) from None


def _load(image: Image.Image, path: Path) -> Image.Image:
    """Decodes the pixels, also of a JPEG that lacks nothing but its end mark."""
    try:
        image.load()
    except OSError:
        is_jpeg = isinstance(image, JpegImagePlugin.JpegImageFile)
        whole = decode_without_eoi(path, MAX_UNSCALED_PIXELS) if is_jpeg else None
        if whole is None:
            raise
        return whole
    return image


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    """Opens the file and reads its header."""
    name = visible(path)
    try:
        info = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise LooptopError(f"there is no image {name}") from None
    except (OSError, ValueError) as error:
        raise LooptopError(f"cannot open the image {name}: {error_text(error)}") from None
    if stat.S_ISDIR(info.st_mode):
        raise LooptopError(f"{name} is a directory; name an image in it")
    if not stat.S_ISREG(info.st_mode):
        raise LooptopError(f"{name} is not a file")
    if info.st_size == 0:
        raise LooptopError(f"the image {name} is empty (0 bytes)")
    with ExitStack() as opened:
        try:
            image = opened.enter_context(_identify(path, opened))
        except Image.DecompressionBombError:
            image = opened.enter_context(_open_huge(path))
        except UnidentifiedImageError:
            raise LooptopError(f"{name} is not an image that looptop can read (or its beginning is damaged)") from None
        except PermissionError:
            raise LooptopError(f"cannot open the image {name}: permission denied") from None
        yield image


def _identify(path: Path, opened: ExitStack) -> Image.Image:
    """Opens the image in its format.

    Raises:
        UnsupportedFormatError: The format is known but not supported, or the file is not an image.
        UnidentifiedImageError: The format is unknown.
    """
    # As an open file: Pillow maps some files that it opens by name into memory, and maps rotated TIFFs wrongly.
    file = opened.enter_context(path.open("rb"))
    head = file.read(unsupported_formats.HEAD_BYTES)
    file.seek(0)
    if head.startswith(SIGNATURE):
        png = PngFile(file)
        image = Image.open(opened.enter_context(io.BufferedReader(png)), formats=("PNG",))
        if not png.ends:
            image.info[_NO_END] = True
        _scale_transparency(image, png.depth)
        return image
    if head.startswith(b"\xff\xd8"):
        return Image.open(file, formats=_formats())
    other = unsupported_formats.other_content(head)
    if other is not None:
        raise UnsupportedFormatError(f"{visible(path)} is {other}")
    unsupported = unsupported_formats.unsupported_format(path, head)
    may_open = unsupported is None or (unsupported[0] in ("AVIF", "HEIF") and features.check("avif"))
    if unsupported is not None and not may_open:
        raise _unsupported(path, *unsupported)
    try:
        image = Image.open(file, formats=_formats())
    except UnidentifiedImageError:
        from looptop.engine.vqa.images import tiff_kinds  # Imported late, as in `_formats`.

        unsupported = unsupported or tiff_kinds.unsupported_kind(file)
        if unsupported is not None and unsupported[0] != "AVIF":
            raise _unsupported(path, *unsupported) from None
        raise
    tags = getattr(image, "tag_v2", {})
    if _DNG_VERSION in tags or (_SUB_IFDS in tags and tags.get(_SUBFILE_TYPE, 0) == 1):
        raise _unsupported(path, "camera RAW", unsupported_formats.CONVERT_RAW)  # Pillow would open the small preview.
    return image


def _unsupported(path: Path, image_format: str, command: str) -> UnsupportedFormatError:
    return UnsupportedFormatError(
        f"{visible(path)} is not an image that looptop can read: {image_format} is not supported; convert it to JPEG or"
        f" PNG, for example with `{command}`"
    )


@cache
def _formats() -> list[str]:
    Image.init()
    ignore_bad_metadata()
    # Imported late: it imports more of Pillow, and the app's first paint must not wait for that.
    from looptop.engine.vqa.images import tiff_kinds

    tiff_kinds.add_kinds()
    return [name for name in FORMATS if name in Image.OPEN]


def _open_huge(path: Path) -> Image.Image:
    """Opens a JPEG above Pillow's limit, to be decoded at a smaller scale; refuses any other format."""
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)  # Pillow only warns up to twice its number.
    refusal = LooptopError(
        f"the image {visible(path)} has more than {limit // 1_000_000} million pixels; make it smaller first"
    )
    try:
        image = JpegImagePlugin.JpegImageFile(path)
    except SyntaxError:
        raise refusal from None
    if image.info.get("progressive"):
        # libjpeg holds all coefficients of a progressive file at any scale.
        image.close()
        raise refusal
    return image


def _reduce_jpeg(image: Image.Image, min_longer_side: int | None) -> None:
    """Sets the scale at which a large JPEG is decoded."""
    width, height = image.size
    scale = 1
    if min_longer_side is not None:
        while scale < 8 and max(width, height) >= 2 * scale * min_longer_side:
            scale *= 2
    while scale < 8 and width * height > MAX_UNSCALED_PIXELS * scale * scale:
        scale *= 2
    if scale > 1 and isinstance(image, JpegImagePlugin.JpegImageFile):
        image.draft(image.mode, (max(width // scale, 1), max(height // scale, 1)))


def _orientation(image: Image.Image) -> Image.Transpose | None:
    """The transposition that makes the picture upright by its EXIF orientation; None if none is needed."""
    try:
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # Damaged EXIF does not make the picture worse.
        return None


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return _wide_to_rgb(image)
    if image.mode == "LAB":
        from PIL import ImageCms

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        picture = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert picture is not None
        return picture
    image = _invert_grey(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        page = Image.new("RGB", image.size, "white")
        page.paste(layer, mask=layer)
        return page
    return image.convert("RGB")


def _invert_grey(image: Image.Image) -> Image.Image:
    """Inverts a grey TIFF with a second channel whose least value is white; other images are unchanged."""
    tags = getattr(image, "tag_v2", {})
    if image.mode not in ("L", "LA") or tags.get(_SAMPLES) != 2 or tags.get(_PHOTOMETRIC) != _MIN_IS_WHITE:
        return image
    return image.point([*range(255, -1, -1), *range(256)][: 256 * len(image.getbands())])


def _scale_transparency(image: Image.Image, depth: int) -> None:
    """Scales a PNG's transparent color to 8 bits, as Pillow scales only the pixels."""
    color = image.info.get("transparency")
    if image.mode == "L" and depth < 8 and isinstance(color, int):
        image.info["transparency"] = color * 255 // ((1 << depth) - 1)
    elif depth == 16 and isinstance(color, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in color)


def _wide_to_rgb(image: Image.Image) -> Image.Image:
    """Converts one channel of more than 8 bits to RGB."""
    import numpy as np  # Imported late: the app opens images before its first paint, and rarely needs numpy.

    tags = getattr(image, "tag_v2", {})
    values = np.asarray(image)
    if image.mode == "I" and _first(tags.get(_BITS)) == 32 and _first(tags.get(_SAMPLE_FORMAT, 1)) == _UNSIGNED:
        values = values.view(np.uint32)
    grey = _to_8_bits(values, _first(tags.get(_BITS)) or 16)
    if tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE:  # Pillow inverts one channel of 8 bits or fewer itself.
        grey = 255 - grey
    color = image.info.get("transparency")
    if isinstance(color, int):
        grey = np.where(values == color, np.uint8(255), grey)
    return Image.fromarray(grey).convert("RGB")


def _first(value: object) -> object:
    """The value of a tag that Pillow may give as a tuple."""
    return value[0] if isinstance(value, tuple) and value else value


def _to_8_bits(values: np.ndarray, bits: object) -> np.ndarray:
    """Scales one channel to 8 bits.

    16-bit integers lose their low 8 bits, or the low 4 if only 12 bits are used. Wider numbers are scaled from 0 to 1
    (fractions) or from 0 to 65535 if they all lie in that range, otherwise from their smallest to their largest value.
    """
    import numpy as np

    if values.dtype.itemsize == 2:
        return (values >> (4 if bits == 12 else 8)).astype(np.uint8)
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
    return LooptopError(f"the image {visible(path)} is damaged or cut off: {error_text(error)}")
