"""Reads and writes TensorBoard's event files: records of one `Event` each, in TensorFlow's record format.

A record is its length (8 bytes, little-endian), the length's masked CRC-32C, the data, the data's masked CRC-32C.
"""

from __future__ import annotations

import bisect
import contextlib
import fnmatch
import heapq
import os
import socket
import struct
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
from google.protobuf.message import DecodeError

from looptop.engine.interchange.messages import Event
from looptop.engine.text import visible
from looptop.engine.times import is_time

VERSION = "brain.Event:2"

_LENGTH = struct.Struct("<Q")
_CHECK = struct.Struct("<I")
# A scalar takes about fifty bytes; a file with a record larger than this is not an event file.
_MAX_RECORD_BYTES = 2**31
_FLOAT, _DOUBLE, _INT32, _INT64 = 1, 2, 3, 9
"""TensorFlow's numbers for its data types."""
_SESSION_START = 1
_UNPACK = {_FLOAT: "<f", _DOUBLE: "<d", _INT32: "<i", _INT64: "<q"}


LAST_STEP = 2**53
"""A larger step counts as damage: a float cannot hold it, so a chart cannot show it."""


class Damaged(Exception):  # noqa: N818 (not an error of looptop: a file that was cut short is read up to there)
    """There is no complete record where one should begin."""


def event_files(folder: Path) -> list[Path]:
    """The event files below a folder (see `files_inside`); those of one writer in the order of writing."""
    return files_inside(folder, "*tfevents*")


def files_inside(folder: Path, pattern: str) -> list[Path]:
    """The regular files below a folder whose names match.

    Links to folders and files are followed, also out of the folder. A file that several paths lead to is listed once,
    with the path that has the fewest links.

    Args:
        folder: Where to search; may be a link itself.
        pattern: A pattern for the names, as `fnmatch` takes it.

    Returns:
        Sorted paths below the resolved folder; a path through a link is not resolved further.
    """
    root = folder.resolve()
    # The number of links on the path, the path, and what it resolves to.
    waiting = [(0, root, root)]
    seen: set[Path] = set()
    files = []
    while waiting:
        links, path, target = heapq.heappop(waiting)
        if target in seen:  # reached by another path, or by links in a circle
            continue
        seen.add(target)
        if not path.is_dir():
            files.append(path)
            continue
        for entry in _entries(path):
            with contextlib.suppress(OSError, RuntimeError):  # a link to itself
                # Pipes and devices are left out, since reading them could wait forever.
                if entry.is_dir() or (fnmatch.fnmatchcase(entry.name, pattern) and entry.is_file()):
                    inner = target / entry.name
                    is_link = entry.is_symlink()
                    heapq.heappush(waiting, (links + is_link, path / entry.name, inner.resolve() if is_link else inner))
    return sorted(files)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder; none if it cannot be read."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return list(entries)
    return []


class Curve:
    """The values of one metric, by increasing steps."""

    def __init__(self) -> None:
        self.steps = array("q")
        self.times = array("d")
        self.values = array("d")

    def add(self, step: int, time: float, value: float) -> int:
        """Adds a value, which replaces those at its step and later steps; returns how many it replaced."""
        dropped = self.drop_from(step)
        self.steps.append(step)
        self.times.append(time)
        self.values.append(value)
        return dropped

    def drop_from(self, step: int) -> int:
        """Drops the values from this step on; returns how many."""
        keep = bisect.bisect_left(self.steps, step)
        dropped = len(self.steps) - keep
        if dropped:
            del self.steps[keep:], self.times[keep:], self.values[keep:]
        return dropped


class EventReader:
    """Reads the event files of one run, one after the other, as TensorBoard does.

    A run that was restarted writes earlier steps once more. A later value replaces the values of its metric from its
    step on. The start of a session (`SessionLog.START`, which a writer with `purge_step` writes) drops the values of
    all metrics from its step on.
    """

    def __init__(self) -> None:
        self.curves: dict[str, Curve] = {}
        """The curves by tag, in the order in which the tags appeared."""
        self.superseded = 0
        """How many values were replaced because the run was restarted."""
        self.other: Counter[str] = Counter()
        """Values that are not scalars: kind, and how many."""
        self.unreadable: Counter[str] = Counter()
        """Damaged parts that were left out or replaced: description, and how many."""
        self.shared: set[str] = set()
        """Tags that two files wrote to at the same time."""
        self._plugins: dict[str, str] = {}
        self._last_times: dict[str, float] = {}
        self._rewritten = -1
        """The last step that a restart wrote again."""

    def read(self, path: Path) -> None:
        """Reads one more file.

        Raises:
            Damaged: The rest of the file cannot be read: it was cut short, or is not an event file. What came before is
                kept.
            OSError: The file cannot be read.
        """
        last_times: dict[str, float] = {}
        try:
            with path.open("rb") as file:
                time = os.fstat(file.fileno()).st_mtime
                for data in records(file):
                    try:
                        event = Event.FromString(data)
                    except (DecodeError, RecursionError):
                        self.unreadable["records that are not events, left out"] += 1
                        continue
                    if is_time(event.wall_time):
                        time = event.wall_time
                    elif event.summary.value:
                        self.unreadable["times that are not possible, replaced by the time before"] += 1
                    self._take(event, time, last_times)
        finally:
            self._last_times |= last_times

    def _take(self, event: Any, time: float, last_times: dict[str, float]) -> None:
        if not 0 <= event.step <= LAST_STEP:
            self.unreadable["values whose step is negative or too large, left out"] += len(event.summary.value)
            return
        if event.session_log.status == _SESSION_START:
            self.superseded += sum(curve.drop_from(event.step) for curve in self.curves.values())
        for value in event.summary.value:
            if value.HasField("metadata"):
                self._plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
            plugin = self._plugins.get(value.tag, "")
            number = _number(value, plugin)
            if number is None:
                self.other[_kind(value, plugin)] += 1
            elif not value.tag:
                self.unreadable["values without a name, left out"] += 1
            else:
                if time < self._last_times.get(value.tag, time):
                    self.shared.add(value.tag)
                last_times[value.tag] = time
                curve = self.curves.setdefault(value.tag, Curve())
                if curve.steps and event.step < curve.steps[-1]:
                    self._rewritten = max(self._rewritten, curve.steps[-1])
                replaced = curve.add(event.step, time, number)
                # A last step that is written twice only counts as a restart if another metric shows one.
                if event.step <= self._rewritten:
                    self.superseded += replaced


class EventWriter:
    """Writes scalars and texts into a new event file of a folder.

    Args:
        folder: The folder; created if it is missing.
        began: The time in the file's name, in seconds since the epoch.
    """

    def __init__(self, folder: Path, began: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard recognises event files by this name.
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
        """Writes the rest and closes the file."""
        self._file.close()

    def _write(self, event: object) -> None:
        data: bytes = event.SerializeToString()  # type: ignore[attr-defined]
        self._file.write(frame(data))


def records(file: BinaryIO) -> Iterator[bytes]:
    """The data of a file's records, one after the other.

    Raises:
        Damaged: There is no complete record where one should begin.
    """
    while head := file.read(12):
        if len(head) < 12 or _CHECK.unpack(head[8:])[0] != _masked(head[:8]):
            raise Damaged
        (length,) = _LENGTH.unpack(head[:8])
        if length > _MAX_RECORD_BYTES:
            raise Damaged
        data = file.read(length)
        check = file.read(4)
        if len(data) < length or len(check) < 4 or _CHECK.unpack(check)[0] != _masked(data):
            raise Damaged
        yield data


def frame(data: bytes) -> bytes:
    """A record as it is stored in a file."""
    length = _LENGTH.pack(len(data))
    return length + _CHECK.pack(_masked(length)) + data + _CHECK.pack(_masked(data))


def _masked(data: bytes) -> int:
    """The masked checksum of the format; a plain CRC of data that itself holds CRCs would be weak."""
    check: int = google_crc32c.value(data)
    return ((check >> 15 | check << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _number(value: Any, plugin: str) -> float | None:
    """A scalar, stored in the old way (a field) or the new one (a tensor without dimensions); None for other values."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    tensor = value.tensor
    if plugin not in ("", "scalars") or tensor.tensor_shape.dim or tensor.dtype not in _UNPACK:
        return None
    for held in (tensor.float_val, tensor.double_val, tensor.int_val):
        if len(held) == 1:
            return float(held[0])
    layout = _UNPACK[tensor.dtype]
    if len(tensor.tensor_content) == struct.calcsize(layout):
        return float(struct.unpack(layout, tensor.tensor_content)[0])
    return None


def _kind(value: Any, plugin: str) -> str:
    """The name of the kind of a value that is not a scalar."""
    for field, kind in (("histo", "histograms"), ("image", "images"), ("audio", "sounds")):
        if value.HasField(field):
            return kind
    kinds = {"text": "texts", "histograms": "histograms", "images": "images", "audio": "sounds"}
    return kinds.get(plugin) or (f"values of {visible(plugin)}" if plugin else "other values")
