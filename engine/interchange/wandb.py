"""Reads W&B's offline files (`offline-run-…/run-….wandb`): a log of `Record` messages in LevelDB's format.

The file has a header of 7 bytes and blocks of 32 KiB. A record consists of one or more fragments, each with a CRC-32,
its length (2 bytes) and its kind (whole, first, middle, last). A block's last bytes stay empty if no fragment fits.

A damaged record is left out and counted. Reading continues at the next fragment with a correct checksum; LevelDB itself
continues at the next block.
"""

from __future__ import annotations

import fnmatch
import json
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from google.protobuf.message import DecodeError

from looptop.engine.errors import LooptopError
from looptop.engine.interchange.messages import Record
from looptop.engine.interchange.tensorboard import LAST_STEP, files_inside
from looptop.engine.journal.writer import storable
from looptop.engine.text import visible
from looptop.engine.times import is_time

_HEADER = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
_BLOCK = 32 * 1024
_FRAGMENT = struct.Struct("<IHB")
_MAX_DEPTH = 20
_MEDIA = {
    "table": "tables", "table-file": "tables", "partitioned-table": "tables", "joined-table": "tables",
    "image-file": "images", "images/separated": "images", "images": "images", "histogram": "histograms",
    "audio-file": "sounds", "audio": "sounds", "video-file": "videos", "html-file": "pages", "plotly-file": "charts",
}  # fmt: skip
_DAMAGED, _WHOLE, _FIRST, _MIDDLE, _LAST = range(5)
_ANY_KIND = re.compile(b"[\1-\4]")
_DAMAGED_RECORDS = "records that are damaged, left out"


@dataclass
class Step:
    """The figures of one step."""

    number: int
    time: float
    values: dict[str, float]


@dataclass
class RunDescription:
    """What a file contains about its run besides the steps; complete when all steps have been read."""

    run_id: str = ""
    name: str = ""
    project: str = ""
    notes: str = ""
    host: str = ""
    started: float = 0.0
    config: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    """None if the file does not record the run's end."""
    alerts: list[tuple[str, str, float]] = field(default_factory=list)
    """Title, text, and the time of the step before."""
    summary: dict[str, float] = field(default_factory=dict)
    """The summary's last figures, as the run itself set them."""
    axes: dict[str, str] = field(default_factory=dict)
    """Metric, or pattern of names, -> the metric that counts its steps (`define_metric`)."""
    other: Counter[str] = field(default_factory=Counter)
    """Values that are not numbers: kind, and how many."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """Damaged parts that were left out or replaced: description, and how many."""
    off_axis: Counter[str] = field(default_factory=Counter)
    """By axis, how many values have no step on it, because it had no whole number."""
    whole: bool = True
    """Whether the file ends after a complete record."""
    _metrics: list[str] = field(default_factory=list)
    _last: dict[str, float] = field(default_factory=dict)


def files(folder: Path) -> list[Path]:
    """The `.wandb` files below a folder (see `files_inside`); the link `latest-run` does not list a file twice."""
    return files_inside(folder, "*.wandb")


def steps(path: Path, described: RunDescription) -> Iterator[Step]:
    """The steps of a file that have numbers, in the file's order.

    Args:
        path: A `.wandb` file.
        described: Is filled with everything else in the file.

    Raises:
        LooptopError: It is not a W&B file.
    """
    with path.open("rb") as file:
        if file.read(len(_HEADER)) != _HEADER:
            raise LooptopError(f"{visible(path)} is not a W&B file that looptop can read: its header is different")
        last = 0.0
        for data in _records(file, described):
            try:
                record = Record.FromString(data)
            except (DecodeError, RecursionError):
                described.unreadable["records that are not W&B's, left out"] += 1
                continue
            if record.HasField("history"):
                for step in _steps(record.history, last, described):
                    last = step.time
                    if step.values:
                        yield step
            elif record.HasField("run"):
                _describe(record.run, described)
                last = last or described.started
            elif record.HasField("config"):
                described.config.update(_config(record.config))
            elif record.HasField("summary"):
                described.summary.update(_figures(record.summary.update, described))
            elif record.HasField("metric"):
                _define(record.metric, described)
            elif record.HasField("alert"):
                described.alerts.append((record.alert.title, record.alert.text, last))
            elif record.HasField("exit"):
                described.exit_code = record.exit.exit_code


def _records(file: BinaryIO, described: RunDescription) -> Iterator[bytes]:
    """The data of the complete records after the file's header; counts the damaged ones."""
    parts: list[bytes] = []
    lost = False  # whether the current record is damaged and already counted
    for kind, data in _fragments(file, described):
        if kind == _DAMAGED:
            parts, lost = [], True
        elif kind in (_WHOLE, _FIRST):
            if parts:  # the record before lacks its end
                described.unreadable[_DAMAGED_RECORDS] += 1
            parts, lost = [data], False
        elif parts:
            parts.append(data)
        elif not lost:  # its beginning is missing
            described.unreadable[_DAMAGED_RECORDS] += 1
            lost = True
        if kind in (_WHOLE, _LAST):
            if parts:
                yield b"".join(parts)
            parts, lost = [], False
    if parts:
        described.whole = False


def _fragments(file: BinaryIO, described: RunDescription) -> Iterator[tuple[int, bytes]]:
    """Kind and data of each fragment; `_DAMAGED` in the place of damaged ones, which are counted."""
    size = _BLOCK - len(_HEADER)
    while block := file.read(size):
        at = 0
        while len(block) - at >= _FRAGMENT.size:
            _, length, kind = _FRAGMENT.unpack_from(block, at)
            start, end = at + _FRAGMENT.size, at + _FRAGMENT.size + length
            if _is_sound(block, at):
                yield kind, block[start:end]
                at = end
                continue
            after = _next_sound(block, at)
            count = _count(block, at, after)
            if not count and after == len(block) < size:
                described.whole = False
                return
            described.unreadable[_DAMAGED_RECORDS] += count or 1
            yield _DAMAGED, b""
            at = after
        if at < len(block) < size and size - at >= _FRAGMENT.size:
            described.whole = False
        size = _BLOCK


def _is_sound(block: bytes, at: int) -> bool:
    """Whether a complete fragment with the correct checksum begins at this index."""
    check, length, kind = _FRAGMENT.unpack_from(block, at)
    start, end = at + _FRAGMENT.size, at + _FRAGMENT.size + length
    if not _WHOLE <= kind <= _LAST or end > len(block):
        return False
    return bool(zlib.crc32(block[start:end], zlib.crc32(bytes([kind]))) == check)


def _next_sound(block: bytes, at: int) -> int:
    """The index of the next sound fragment, or the block's end. Every index is tried, since lengths may be damaged."""
    # The kind is the last byte before the data.
    for match in _ANY_KIND.finditer(block, at + _FRAGMENT.size):
        start = match.end() - _FRAGMENT.size
        if _is_sound(block, start):
            return start
    return len(block)


def _count(block: bytes, at: int, end: int) -> int:
    """How many fragments, of a record each, lie there according to their lengths; 0 if these do not lead to the end."""
    count = 0
    while end - at >= _FRAGMENT.size:
        _, length, kind = _FRAGMENT.unpack_from(block, at)
        if not _WHOLE <= kind <= _LAST:
            return 0
        at += _FRAGMENT.size + length
        count += 1
    return count if at == end else 0


def _steps(history: Any, last: float, described: RunDescription) -> Iterator[Step]:
    """The figures of one record, grouped by the steps on their axes; usually all have the same step."""
    values = _figures(history.item, described)
    number, time = values.pop("_step", float(history.step.num)), values.pop("_timestamp", last)
    values.pop("_runtime", None)
    if not 0 <= number <= LAST_STEP:  # NaN, too
        described.unreadable["steps whose number is negative, too large or not a number, left out"] += 1
        return
    if not is_time(time):
        described.unreadable["times that are not possible, replaced by the time before"] += 1
        time = last
    described._last |= values
    by_step: dict[int, dict[str, float]] = {int(number): {}}
    for name, value in values.items():
        axis = _axis_of(name, described)
        at = described._last.get(axis, number) if axis else number
        if not (0 <= at <= LAST_STEP and at == int(at)):
            described.off_axis[visible(axis)] += 1
            at = number
        by_step.setdefault(int(at), {})[name] = value
    for step, figures in by_step.items():
        yield Step(step, time, figures)


def _axis_of(name: str, described: RunDescription) -> str:
    """The metric that counts the steps of another; empty if W&B's own step does."""
    if name in described.axes:
        return described.axes[name]
    for pattern, axis in described.axes.items():
        if "*" in pattern and fnmatch.fnmatchcase(name, pattern):
            return axis if axis != name else ""
    return ""


def _define(metric: Any, described: RunDescription) -> None:
    """Stores a metric's axis from `define_metric`, which names it or gives its index among the defined metrics."""
    name = metric.name or metric.glob_name
    described._metrics.append(metric.name)
    axis, index = metric.step_metric, metric.step_metric_index
    if not axis and 0 < index <= len(described._metrics):
        axis = described._metrics[index - 1]
    axis = storable(axis.replace("\\.", "."))
    if name and axis and axis not in ("_step", name):
        described.axes[storable(name.replace("\\.", "."))] = axis


def _figures(items: Any, described: RunDescription) -> dict[str, float]:
    """The numbers among a record's items, by name; other values are counted, a table or an image as one."""
    read = [(_name(item), _value(item, described)) for item in items]
    # A table is stored as one value or as its parts: `t._type`, `t.nrows`, ...
    media = {name.removesuffix("._type"): str(value) for name, value in read if name.endswith("._type")}
    values: dict[str, float] = {}
    for name, value in read:
        if any(name == each or name.startswith(f"{each}.") for each in media):
            continue
        if isinstance(value, dict) and "_type" in value:
            media[name] = str(value["_type"])
            continue
        values.update(_numbers(name, value, described))
    for kind in media.values():
        described.other[_MEDIA.get(kind, f"values of the type {visible(kind[:40])}")] += 1
    return values


def _name(item: Any) -> str:
    return storable(".".join(item.nested_key) if item.nested_key else str(item.key))


def _value(item: Any, described: RunDescription) -> Any:
    for kind in ("number", "integer", "boolean"):
        if item.HasField(kind):
            return getattr(item, kind)
    try:
        return json.loads(item.value_json) if item.value_json else None
    except (ValueError, RecursionError):
        described.unreadable["values that cannot be read, left out"] += 1
        return None


def _numbers(name: str, value: Any, described: RunDescription, depth: int = 0) -> Iterator[tuple[str, float]]:
    """The numbers in a value; those in nested values have names with dots."""
    if isinstance(value, bool | int | float) or (isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity")):
        try:
            yield name, float(value)
        except OverflowError:
            described.unreadable["numbers that are too large, left out"] += 1
    elif isinstance(value, dict) and "_type" in value:
        described.other[_MEDIA.get(str(value["_type"]), "other media")] += 1
    elif isinstance(value, dict) and depth < _MAX_DEPTH:
        for key, inner in value.items():
            yield from _numbers(f"{name}.{storable(key)}", inner, described, depth + 1)


def _describe(run: Any, described: RunDescription) -> None:
    described.run_id, described.name, described.project = run.run_id, run.display_name, run.project
    described.notes, described.host = run.notes, run.host
    started = run.start_time.seconds + run.start_time.nanos / 1e9
    described.started = started if is_time(started) else 0.0
    described.summary.update(_figures(run.summary.update, described))
    described.config.update(_config(run.config))


def _config(config: Any) -> dict[str, Any]:
    settings = {_name(item): _value(item, RunDescription()) for item in config.update}
    return {key: value for key, value in settings.items() if key != "_wandb"}
