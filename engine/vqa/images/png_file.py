"""Hides a PNG file's metadata from Pillow, which refuses files for it that every other program opens.

Examples are texts of megabytes (a drawing program's settings), color profiles, and damaged text chunks. Such chunks are
skipped without being read. Of the metadata only the orientation is passed on.
"""

from __future__ import annotations

import io
import struct
import zlib
from bisect import bisect_right
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND\xaeB`\x82"
_PALETTE = 3
"""The color type of pixels that are palette indices; in other PNGs a palette is only a hint for old screens."""

_LONGEST_METADATA = 1 << 20
"""The greatest size of metadata that is passed on, in bytes, in the file and decompressed."""

Part = bytes | tuple[int, int]
"""Bytes, or an offset in the file and a length."""


class PngFile(io.RawIOBase):
    """A PNG file as Pillow reads it, without most metadata.

    Args:
        file: The open PNG; this object closes it.

    Attributes:
        ends: Whether the file has its end mark. If not, only decoding shows whether the pixels are complete.
        depth: Bits of a channel, from the header.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self.ends = False
        self.depth = 8
        self._parts = self._scan()
        self._starts = [0]
        for part in self._parts:
            self._starts.append(self._starts[-1] + (len(part) if isinstance(part, bytes) else part[1]))
        self._at = 0

    def _scan(self) -> list[Part]:
        """The parts that are passed on. Metadata is moved before the pixels, so that it is read wherever it was."""
        size = self._file.seek(0, io.SEEK_END)
        at = len(SIGNATURE)
        parts: list[Part] = []
        metadata: dict[bytes, Part] = {}
        seen_pixels = cut_off = False
        color_type, colors = _PALETTE, 0
        while True:
            self._file.seek(at)
            header = self._file.read(8)
            kind = header[4:]
            if len(header) < 8 or not kind.isalpha():
                if not seen_pixels:
                    parts.append((at, size - at))  # Pillow reports what is wrong with it.
                break
            length = int.from_bytes(header[:4], "big") + 12
            if kind == b"IEND":
                self.ends = True
                break
            seen_pixels = seen_pixels or kind == b"IDAT"
            if kind == b"IHDR":
                fields = self._file.read(10)[8:]
                self.depth, color_type = fields if len(fields) == 2 else (8, _PALETTE)
            if kind == b"PLTE":
                colors = (length - 12) // 3
            if kind[:1].isupper() and (color_type == _PALETTE or kind != b"PLTE"):
                cut_off = at + length > size
                parts.append((at, min(length, size - at)))
            elif kind == b"tRNS":
                most = {0: 2, 2: 6, _PALETTE: colors}.get(
                    color_type, 0
                )  # a grey, a color, an alpha for each palette entry
                data = (self._whole_chunk(at, length, size) or b"")[:most]
                if data and not seen_pixels and (color_type == _PALETTE or len(data) == most):
                    parts.append(_chunk(kind, data))  # The valid part is enough: the pixels do not need it.
            elif kind not in metadata and (chunk := self._orientation_in(kind, at, length, size)) is not None:
                metadata[kind] = chunk
            at += length
        return [SIGNATURE, *parts[:1], *metadata.values(), *parts[1:], *([] if cut_off else [_END])]

    def _whole_chunk(self, at: int, length: int, size: int) -> bytes | None:
        """A short chunk's data; None if it is cut off, damaged or long."""
        if length > _LONGEST_METADATA or at + length > size:
            return None
        self._file.seek(at + 4)
        kind_and_data = self._file.read(length - 8)
        if zlib.crc32(kind_and_data) != int.from_bytes(self._file.read(4), "big"):
            return None
        return kind_and_data[4:]

    def _orientation_in(self, kind: bytes, at: int, length: int, size: int) -> Part | None:
        """A complete metadata chunk that may contain the orientation, or None."""
        data = self._whole_chunk(at, length, size) if kind in (b"eXIf", b"iTXt", b"zTXt", b"tEXt") else None
        if data is None:
            return None
        keyword, _, text = data.partition(b"\0")
        if kind == b"eXIf":
            return _chunk(kind, data)
        if kind == b"iTXt":
            return _chunk(kind, data) if keyword == b"XML:com.adobe.xmp" and text[:1] == b"\0" else None
        if keyword != b"Raw profile type exif":
            return None
        if kind == b"zTXt":
            unpacked = zlib.decompressobj()
            try:
                text = unpacked.decompress(text[1:], _LONGEST_METADATA)
            except zlib.error:
                return None
            if not unpacked.eof:
                return None
        return _chunk(b"tEXt", keyword + b"\0" + text)

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to an offset in what is passed on."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Reads the next bytes, at most to the end of a part."""
        view = memoryview(buffer).cast("B")
        if self._at >= self._starts[-1]:
            return 0
        number = bisect_right(self._starts, self._at) - 1
        part, inside = self._parts[number], self._at - self._starts[number]
        if isinstance(part, bytes):
            data = part[inside : inside + len(view)]
        else:
            self._file.seek(part[0] + inside)
            data = self._file.read(min(len(view), part[1] - inside))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        """Closes the file too."""
        self._file.close()
        super().close()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
