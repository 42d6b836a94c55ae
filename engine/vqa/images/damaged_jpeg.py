"""Opens JPEG files with all their pixels that Pillow refuses, as other programs do.

Pillow refuses a file whose metadata is too short, or that lacks the two bytes of its end mark (EOI).
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, JpegImagePlugin

_EOI = b"\xff\xd9"
_PADDINGS = (bytes(range(254, 0, -1)), b"\x5a\x3c" * 99, b"\xa5\xc3" * 99)
"""Made-up pixel data. They differ from each other, and from the zeros that libjpeg fills in, from the first bits on."""
_MARKER = re.compile(rb"\xff+([\xc0-\xcf\xda-\xfe])")
"""The start of a segment; markers inside pixel data (0 and restarts) do not match."""
# The marker codes by the standard's names (ITU T.81, table B.1): start of frame, start of scan, end of image (`_EOI`).
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SOS = 0xDA

_APP_MARKERS = range(0xFFE0, 0xFFF0)
_ICC_HEAD = 14
"""Bytes before the color profile; Pillow assumes that they are present."""


def ignore_bad_metadata() -> None:
    """Makes Pillow skip application segments (APP0 to APP15) that it cannot read: they hold no pixels."""
    for marker in _APP_MARKERS:
        name, description, _ = JpegImagePlugin.MARKER[marker]
        JpegImagePlugin.MARKER[marker] = (name, description, _read_app_segment)


def decode_without_eoi(path: Path, max_pixels: int) -> Image.Image | None:
    """Decodes a JPEG that lacks its end mark (EOI).

    libjpeg fills in missing pixels silently. So the file is decoded several times, with different data added at its
    end: the pictures are the same only if no pixel depends on what is missing. Scans that are missing completely, as in
    a progressive file that ends between two, are counted.

    Returns:
        The image; None if pixels are missing too, or if there are more than `max_pixels`.

    Raises:
        Exception: Any error of Pillow's: the file has other damage.
    """
    data = path.read_bytes().removesuffix(_EOI[:1])
    if not _has_all_scans(data):
        return None
    image, *others = (JpegImagePlugin.JpegImageFile(io.BytesIO(data + tail)) for tail in _tails())
    if image.width * image.height > max_pixels:
        return None
    pixels = image.tobytes()
    for other in others:
        with other:
            if other.tobytes() != pixels:
                return None
    return image


def _tails() -> Iterator[bytes]:
    """Data to add at a file's end: the end mark, or made-up pixels with every restart mark that may be expected."""
    yield _EOI
    for index, padding in enumerate(_PADDINGS):
        yield b"".join(padding + bytes((0xFF, 0xD0 + (3 * index + number) % 8)) for number in range(16)) + _EOI


def _has_all_scans(data: bytes) -> bool:
    """Whether the scans contain all bits of each of a block's 64 coefficients, for each channel."""
    missing: set[tuple[int, int]] = set()
    at = 2
    while (marker := _MARKER.search(data, at)) is not None:
        at = marker.end()
        length = int.from_bytes(data[at : at + 2], "big")
        segment = data[at + 2 : at + length]
        if len(segment) != length - 2:
            return False
        kind = marker[1][0]
        if kind in _SOF:
            missing = {(channel, number) for channel in segment[6::3] for number in range(64)}
        elif kind == _SOS:
            first, last, bits = segment[-3:]
            if bits & 15 == 0:
                missing -= {(channel, n) for channel in segment[1:-3:2] for n in range(first, last + 1)}
        at += length
    return not missing


def _read_app_segment(self: JpegImagePlugin.JpegImageFile, marker: int) -> None:
    with contextlib.suppress(struct.error, IndexError, ValueError):
        JpegImagePlugin.APP(self, marker)
    self.icclist = [part for part in self.icclist if len(part) >= _ICC_HEAD]
