"""Adds kinds of TIFF to those that Pillow opens, and names the kinds that it cannot open."""

from __future__ import annotations

import struct
from typing import BinaryIO

from PIL import TiffImagePlugin

from looptop.engine.vqa.images.unsupported_formats import CONVERT_RAW, MAGICK

# Tags
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _STRIPS, _SAMPLES = 256, 257, 258, 259, 262, 273, 277
_TILES, _EXTRA, _SAMPLE_FORMAT = 324, 338, 339
_MIN_IS_WHITE = 0
_CFA, _LINEAR_RAW = 32803, 34892
_BIG_TIFF = 43
"""The version number of a BigTIFF, whose header is longer."""

_COLORS = {
    **dict.fromkeys((_MIN_IS_WHITE, _MIN_IS_WHITE + 1), ("grey", 1)),
    2: ("RGB", 3),
    3: ("palette", 1),
    4: ("mask", 1),
    5: ("CMYK", 4),
    6: ("YCbCr", 3),
    8: ("CIELAB", 3),
    9: ("ICCLAB", 3),
    32844: ("LogL", 1),
    32845: ("LogLuv", 3),
    _CFA: ("CFA (a camera's unprocessed pixels)", 1),
    _LINEAR_RAW: ("linear RAW", 3),
}
"""By photometric interpretation: its name, and the number of channels of a pixel."""
_FORMATS = {1: "", 2: " signed", 3: " floating-point", 4: "", 5: " complex", 6: " complex"}


def add_kinds() -> None:
    """Makes Pillow open the same kinds of TIFF whether the least value is white or black.

    Of the added kinds, Pillow inverts one channel of 8 bits itself; it reads the others as if the least value were
    black.
    """
    kinds = TiffImagePlugin.OPEN_INFO
    kinds.setdefault((b"MM", 1, (1,), 1, (32,), ()), ("I", "I;32BS"))
    for (order, photometric, *others), modes in list(kinds.items()):
        if photometric == _MIN_IS_WHITE + 1 and (modes[0].startswith(("I", "F")) or modes[1] in ("L", "LX", "LA")):
            twin = ("L", "L;I") if modes[1] == "L" else modes
            kinds.setdefault((order, _MIN_IS_WHITE, *others), twin)  # type: ignore[arg-type]


def unsupported_kind(file: BinaryIO) -> tuple[str, str] | None:
    """The kind of a TIFF that Pillow did not open, and a command that converts it.

    None if the file is not a TIFF, or its beginning is damaged.
    """
    try:
        file.seek(0)
        head = file.read(8)
        head += file.read(8) if _BIG_TIFF in head[2:4] else b""
        tags = TiffImagePlugin.ImageFileDirectory_v2(head)
        file.seek(tags.next)
        tags.load(file)
        color, count = _COLORS[tags[_PHOTOMETRIC]]
        bits, sample_format = tags.get(_BITS, (1,))[0], _FORMATS[tags.get(_SAMPLE_FORMAT, (1,))[0]]
        compression, samples = tags.get(_COMPRESSION, 1), tags.get(_SAMPLES, 1)
        if (
            not (tags[_WIDTH] and tags[_HEIGHT] and (_STRIPS in tags or _TILES in tags))
            or bits > 128
            or samples < count
        ):
            return None
    except (SyntaxError, KeyError, IndexError, TypeError, ValueError, OSError, struct.error):
        return None
    if compression not in TiffImagePlugin.COMPRESSION_INFO:
        return f"TIFF with compression {compression}", MAGICK
    has_alpha = samples == count + 1 and tags.get(_EXTRA, (0,))[0] in (1, 2)
    others = " with alpha" if has_alpha else " with other channels" if samples > count else ""
    command = CONVERT_RAW if tags[_PHOTOMETRIC] in (_CFA, _LINEAR_RAW) else MAGICK
    return f"TIFF of {bits}-bit{sample_format} {color}{others}", command
