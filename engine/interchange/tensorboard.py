"""TensorBoard's event files: records of an `Event` each, framed by lengths and checksums (TensorFlow's record format).

A record is its length (8 bytes, little-endian), the length's masked CRC-32C, the data, the data's masked CRC-32C.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import google_crc32c

from looptop.engine.interchange.messages import Event

VERSION = "brain.Event:2"

_LENGTH = struct.Struct("<Q")
_CHECK = struct.Struct("<I")
# A scalar takes some fifty bytes; what claims to be larger than this is no event file.
_LARGEST = 2**31
_FLOAT, _DOUBLE, _INT32, _INT64 = 1, 2, 3, 9
"""TensorFlow's numbers of its data types."""
_UNPACK = {_FLOAT: "<f", _DOUBLE: "<d", _INT32: "<i", _INT64: "<q"}


class Scalar(NamedTuple):
    """One value of a metric."""

    tag: str
    step: int
    time: float
    value: float


class Damaged(Exception):  # noqa: N818 (it is no error of ours: a file that was cut short is read up to there)
    """The file holds no whole record where one should begin."""


def event_files(folder: Path) -> list[Path]:
    """The event files below a folder, those of one writer in the order in which they were written."""
    return sorted(path for path in folder.rglob("*tfevents*") if path.is_file())


def scalars(path: Path) -> Iterator[Scalar]:
    """The scalars of an event file, in its order.

    Raises:
        Damaged: The rest of the file cannot be read: it was cut short, or is another file; what came before is good.
    """
    with path.open("rb") as file:
        for data in _records(file):
            event = Event.FromString(data)
            for value in event.summary.value:
                number = _number(value)
                if number is not None:
                    yield Scalar(value.tag, event.step, event.wall_time, number)


class EventWriter:
    """Writes scalars and texts into a new event file of a folder.

    Args:
        folder: Where; made when missing.
        began: The file's time, in seconds since the epoch.
    """

    def __init__(self, folder: Path, began: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard knows the files by this name.
        self.path = folder / f"events.out.tfevents.{int(began):010d}.{socket.gethostname()}.{os.getpid()}.looptop"
        self._file = self.path.open("wb")
        self._write(Event(wall_time=began, file_version=VERSION))

    def scalar(self, tag: str, step: int, time: float, value: float) -> None:
        """Adds one value."""
        event = Event(wall_time=time, step=step)
        event.summary.value.add(tag=tag, simple_value=value)
        self._write(event)

    def text(self, tag: str, step: int, time: float, text: str) -> None:
        """Adds a text, for TensorBoard's text page."""
        event = Event(wall_time=time, step=step)
        value = event.summary.value.add(tag=tag)
        value.metadata.plugin_data.plugin_name = "text"
        value.tensor.dtype = 7  # a string
        value.tensor.string_val.append(text.encode("utf-8", "replace"))
        value.tensor.tensor_shape.dim.add(size=1)
        self._write(event)

    def close(self) -> None:
        """Writes what is left."""
        self._file.close()

    def _write(self, event: object) -> None:
        data: bytes = event.SerializeToString()  # type: ignore[attr-defined]
        length = _LENGTH.pack(len(data))
        self._file.write(length + _CHECK.pack(_masked(length)) + data + _CHECK.pack(_masked(data)))


def _records(file: BinaryIO) -> Iterator[bytes]:
    while head := file.read(12):
        if len(head) < 12 or _CHECK.unpack(head[8:])[0] != _masked(head[:8]):
            raise Damaged
        (length,) = _LENGTH.unpack(head[:8])
        if length > _LARGEST:
            raise Damaged
        data = file.read(length)
        check = file.read(4)
        if len(data) < length or len(check) < 4 or _CHECK.unpack(check)[0] != _masked(data):
            raise Damaged
        yield data


def _masked(data: bytes) -> int:
    """The checksum as the format has it: a CRC of data that holds CRCs would be weak."""
    check: int = google_crc32c.value(data)
    return ((check >> 15 | check << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _number(value: object) -> float | None:
    """A scalar's number, in the old way (a field) or the new one (a tensor of no dimension); None of anything else."""
    if value.HasField("simple_value"):  # type: ignore[attr-defined]
        return float(value.simple_value)  # type: ignore[attr-defined]
    plugin = value.metadata.plugin_data.plugin_name  # type: ignore[attr-defined]
    tensor = value.tensor  # type: ignore[attr-defined]
    if plugin not in ("", "scalars") or tensor.tensor_shape.dim or tensor.dtype not in _UNPACK:
        return None
    for held in (tensor.float_val, tensor.double_val, tensor.int_val):
        if len(held) == 1:
            return float(held[0])
    layout = _UNPACK[tensor.dtype]
    if len(tensor.tensor_content) == struct.calcsize(layout):
        return float(struct.unpack(layout, tensor.tensor_content)[0])
    return None
