"""JPEG files whose pixels are whole and of which the rest is not: opened, as every other program does.

Pillow refuses a file for a remark that is too short, and for want of the two bytes of its end mark.
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, JpegImagePlugin

_END = b"\xff\xd9"
_OTHER_PIXELS = (bytes(range(254, 0, -1)), b"\x5a\x3c" * 99, b"\xa5\xc3" * 99)
"""Differ from each other, and from the zeros that libjpeg fills in, from their first bits on."""
_MARKER = re.compile(rb"\xff+([\xc0-\xcf\xda-\xfe])")
"""The start of a segment; what stands in the pixels (0 and restarts) is no such."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA

_REMARKS = range(0xFFE0, 0xFFF0)
_ICC_HEAD = 14
"""Bytes before the profile itself; Pillow takes for granted that they are there."""


def ignore_bad_remarks() -> None:
    """Makes Pillow go on behind an application segment (APP0 to APP15) that it cannot read: it holds no pixels."""
    for marker in _REMARKS:
        name, description, _ = JpegImagePlugin.MARKER[marker]
        JpegImagePlugin.MARKER[marker] = (name, description, _read_remark)


def without_end_mark(path: Path, largest: int) -> Image.Image | None:
    """Decodes a JPEG that lacks its end mark; None where pixels are cut off as well, or it has more than `largest`.

    libjpeg fills in pixels that are missing, and tells nobody. So the file is decoded as if it ended here and as if
    other pixels came: the pictures are the same only if no pixel depends on what is missing. Scans that are missing
    altogether, as in a progressive file that is cut off between two, are counted.

    Raises:
        Exception: Any of Pillow's: it is damaged besides.
    """
    data = path.read_bytes().removesuffix(_END[:1])
    if not _has_all_scans(data):
        return None
    image, *others = (JpegImagePlugin.JpegImageFile(io.BytesIO(data + tail)) for tail in _tails())
    if image.width * image.height > largest:
        return None
    pixels = image.tobytes()
    for other in others:
        with other:
            if other.tobytes() != pixels:
                return None
    return image


def _tails() -> Iterator[bytes]:
    """What may follow where a file ends: its end, or other pixels, with every restart mark that may be awaited."""
    yield _END
    for turn, pixels in enumerate(_OTHER_PIXELS):
        yield b"".join(pixels + bytes((0xFF, 0xD0 + (3 * turn + number) % 8)) for number in range(16)) + _END


def _has_all_scans(data: bytes) -> bool:
    """Whether the scans give each of a block's 64 numbers, for each channel, down to its last bit."""
    missing: set[tuple[int, int]] = set()
    at = 2
    while (marker := _MARKER.search(data, at)) is not None:
        at = marker.end()
        length = int.from_bytes(data[at : at + 2], "big")
        segment = data[at + 2 : at + length]
        if len(segment) != length - 2:
            return False
        kind = marker[1][0]
        if kind in _FRAMES:
            missing = {(channel, number) for channel in segment[6::3] for number in range(64)}
        elif kind == _SCAN:
            first, last, bits = segment[-3:]
            if bits & 15 == 0:
                missing -= {(channel, n) for channel in segment[1:-3:2] for n in range(first, last + 1)}
        at += length
    return not missing


def _read_remark(self: JpegImagePlugin.JpegImageFile, marker: int) -> None:
    with contextlib.suppress(struct.error, IndexError, ValueError):
        JpegImagePlugin.APP(self, marker)
    self.icclist = [part for part in self.icclist if len(part) >= _ICC_HEAD]
