"""Reads rows of JSON as people's programs write it, and says at which line and column a file is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from looptop.engine.errors import LooptopError, said_of
from looptop.engine.text import visible
from looptop.engine.vqa.data.cells import Cells, RowError

T = TypeVar("T")

FAULTS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, RowError)
"""What reading one row may raise."""

_cells = msgspec.json.Decoder(Cells)
_TEXT_OR_NAN = re.compile(rb'"(?:[^"\\]|\\.)*+"|\bNaN\b', re.DOTALL)
"""Texts are matched whole, so that the word in a text is left alone."""


def decode_nan(decode: Callable[[bytes], T], data: bytes) -> T:
    """What `decode` makes of the data; where it refuses them, of the data with null for each `NaN`.

    Raises:
        msgspec.MsgspecError: They are not JSON even so, or of another form.
    """
    try:
        return decode(data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        if b"NaN" not in bytes(data):
            raise
    return decode(_TEXT_OR_NAN.sub(lambda match: b"null" if match[0] == b"NaN" else match[0], data))


def cells_of(row: Raw) -> Cells:
    """One row of a questions or annotations file.

    Raises:
        One of `FAULTS`: It is not valid JSON, or no object.
    """
    return decode_nan(_cells.decode, row)


def read_json_bytes(path: Path) -> bytes:
    """A file's bytes, less a byte order mark.

    Raises:
        LooptopError: It cannot be read, or is empty.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise LooptopError(f"cannot read {visible(path)}: {said_of(error)}") from None
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise LooptopError(f"{visible(path)} is empty")
    return data


def json_place(data: bytes, error: Exception) -> tuple[int, int, str]:
    """Line, column (both from 1) and what is wrong there, of JSON that msgspec refused."""
    found = re.search(r"^(?:JSON is malformed: )?(.*) \(byte (\d+)\)$", str(error))
    place = int(found[2]) if found else len(data)
    said = found[1] if found else "it ends too early"
    if isinstance(error, UnicodeDecodeError):
        said = "not UTF-8 text"
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as where:
            place = where.start
    before = data[:place]
    return before.count(b"\n") + 1, len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1, said


def what_is_wrong(error: Exception) -> str:
    """What a row that cannot be decoded has wrong with it."""
    text = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
    return visible(text[:1].lower() + text[1:])


def decode_json(path: Path, kind: Any, data: bytes | None = None) -> Any:
    """A JSON file of a type that msgspec knows; `data` where it has been read.

    Raises:
        LooptopError: It cannot be read, is not JSON (says line and column), or is of another form.
    """
    data = read_json_bytes(path) if data is None else data
    try:
        return decode_nan(msgspec.json.Decoder(kind).decode, data)
    except msgspec.ValidationError as error:
        raise LooptopError(f"{visible(path)} is not as it should be: {what_is_wrong(error)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        line, column, said = json_place(data, error)
        raise LooptopError(
            f"{visible(path)} is not valid JSON: {visible(said)} at line {line}, column {column}"
        ) from None
    except RecursionError:
        raise LooptopError(f"{visible(path)} is nested too deeply") from None
