"""W&B's offline files (`offline-run-…/run-….wandb`): a log of `Record` messages in LevelDB's framing.

The file is a header of 7 bytes and blocks of 32 KiB. A record lies in one fragment or several, each with a CRC-32, its
length (2 bytes) and its kind (whole, first, middle, last); a block's last bytes stay empty where no fragment fits.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from looptop.engine.errors import LooptopError
from looptop.engine.interchange.messages import Record
from looptop.engine.text import visible

_HEADER = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
_BLOCK = 32 * 1024
_FRAGMENT = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


@dataclass
class Step:
    """The figures of one step."""

    number: int
    time: float
    values: dict[str, float]


@dataclass
class Described:
    """What a file says of its run; complete when its steps have been read."""

    run_id: str = ""
    name: str = ""
    project: str = ""
    notes: str = ""
    host: str = ""
    started: float = 0.0
    config: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    """None where the run never said that it ended."""
    alerts: list[tuple[str, str, float]] = field(default_factory=list)
    """Title, text, and the time of the step before."""
    whole: bool = True
    """Whether the file could be read to its end."""


def files(folder: Path) -> list[Path]:
    """The `.wandb` files below a folder; `latest-run`, a link to one of them, is not counted twice."""
    return sorted({path.resolve() for path in folder.rglob("*.wandb") if path.is_file()})


def steps(path: Path, described: Described) -> Iterator[Step]:
    """The steps of a file that hold numbers, in its order.

    Args:
        path: A `.wandb` file.
        described: Is filled with what else the file says.

    Raises:
        LooptopError: It is no such file.
    """
    with path.open("rb") as file:
        if file.read(len(_HEADER)) != _HEADER:
            raise LooptopError(f"{visible(path)} is not a W&B file that looptop knows: its header is another one")
        last = 0.0
        for data in _records(file, described):
            record = Record.FromString(data)
            if record.HasField("history"):
                step = _step(record.history, last)
                last = step.time
                if step.values:
                    yield step
            elif record.HasField("run"):
                _describe(record.run, described)
                last = last or described.started
            elif record.HasField("config"):
                described.config.update(_config(record.config))
            elif record.HasField("alert"):
                described.alerts.append((record.alert.title, record.alert.text, last))
            elif record.HasField("exit"):
                described.exit_code = record.exit.exit_code


def _records(file: BinaryIO, described: Described) -> Iterator[bytes]:
    parts: list[bytes] = []
    while True:
        room = _BLOCK - file.tell() % _BLOCK
        if room < _FRAGMENT.size:
            file.seek(room, 1)
        head = file.read(_FRAGMENT.size)
        if not head:
            described.whole = not parts
            return
        if len(head) < _FRAGMENT.size:
            break
        check, length, kind = _FRAGMENT.unpack(head)
        data = file.read(length)
        if len(data) < length or zlib.crc32(data, zlib.crc32(bytes([kind]))) != check:
            break
        if kind in (_WHOLE, _FIRST):
            parts = []
        parts.append(data)
        if kind in (_WHOLE, _LAST):
            yield b"".join(parts)
            parts = []
        elif kind not in (_FIRST, _MIDDLE):
            break
    described.whole = False


def _step(history: Any, last: float) -> Step:
    values: dict[str, float] = {}
    for item in history.item:
        for name, value in _numbers(_name(item), _value(item)):
            values[name] = value
    number, time = values.pop("_step", float(history.step.num)), values.pop("_timestamp", last)
    values.pop("_runtime", None)
    return Step(int(number), time, values)


def _name(item: Any) -> str:
    return ".".join(item.nested_key) if item.nested_key else str(item.key)


def _value(item: Any) -> Any:
    for kind in ("number", "integer", "boolean"):
        if item.HasField(kind):
            return getattr(item, kind)
    try:
        return json.loads(item.value_json) if item.value_json else None
    except ValueError:
        return None


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """The numbers in a value; those of nested ones under names with dots. W&B's media and tables hold none."""
    if isinstance(value, bool | int | float) or (isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity")):
        yield name, float(value)
    elif isinstance(value, dict) and "_type" not in value:
        for key, inner in value.items():
            yield from _numbers(f"{name}.{key}", inner)


def _describe(run: Any, described: Described) -> None:
    described.run_id, described.name, described.project = run.run_id, run.display_name, run.project
    described.notes, described.host = run.notes, run.host
    described.started = run.start_time.seconds + run.start_time.nanos / 1e9
    described.config.update(_config(run.config))


def _config(config: Any) -> dict[str, Any]:
    found = {_name(item): _value(item) for item in config.update}
    return {key: value for key, value in found.items() if key != "_wandb"}
