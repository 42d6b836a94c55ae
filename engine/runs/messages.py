"""Encodes the messages between the processes of a run: plain values, and classes that are marked `packable`.

Nothing is unpickled: `unpack` makes plain values and instances of `packable` classes only. So an attacker between two
processes could send wrong values, but could not have any code executed.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from looptop.engine.errors import LooptopError

C = TypeVar("C", bound=type)

_RECORDS: dict[str, type] = {}
_PLAIN = (type(None), bool, int, float, str, bytes)


def packable(record: C) -> C:
    """Class decorator: allows a Struct, dataclass or named tuple to be sent between the processes of a run."""
    _RECORDS[record.__name__] = record
    return record


def pack(value: Any) -> bytes:
    """Encodes a value.

    Raises:
        TypeError: It holds something that is neither plain nor `packable`.
    """
    return msgspec.msgpack.encode(_plain(value))


def unpack(data: bytes) -> Any:
    """Decodes a value that `pack` encoded.

    Raises:
        LooptopError: `pack` did not make these bytes.
    """
    try:
        return _value(msgspec.msgpack.decode(data))
    except (msgspec.DecodeError, ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise LooptopError("a message from another process of the run cannot be read; resume the run") from error


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if _RECORDS.get(kind.__name__) is kind:
        return ["record", kind.__name__, [_plain(getattr(value, name)) for name in _names(kind)]]
    if kind is list:
        # Lists of plain values, such as token ids, need no encoding of their items.
        if all(type(item) in _PLAIN for item in value):
            return ["plain", value]
        return ["list", [_plain(item) for item in value]]
    if kind in (tuple, set):
        return [kind.__name__, [_plain(item) for item in value]]
    if kind is dict:
        return ["dict", [[_plain(key), _plain(item)] for key, item in value.items()]]
    if isinstance(value, Path):
        return ["path", str(value)]
    raise TypeError(f"{kind.__name__} cannot be sent between processes")


def _value(plain: Any) -> Any:
    if type(plain) in _PLAIN:
        return plain
    kind, held, *more = plain
    match kind:
        case "plain" if all(type(item) in _PLAIN for item in held):
            return list(held)
        case "list":
            return [_value(item) for item in held]
        case "tuple":
            return tuple(_value(item) for item in held)
        case "set":
            return {_value(item) for item in held}
        case "dict":
            return {_value(key): _value(item) for key, item in held}
        case "path":
            return Path(held)
        case "record":
            record = _RECORDS[held]
            return record(**dict(zip(_names(record), map(_value, more[0]), strict=True)))
    raise ValueError(f"there is no {kind!r}")


def _names(record: type) -> tuple[str, ...]:
    if issubclass(record, Struct):
        return record.__struct_fields__
    if is_dataclass(record):
        return tuple(field.name for field in fields(record))
    names: tuple[str, ...] = record._fields  # type: ignore[attr-defined]  # a named tuple
    return names
