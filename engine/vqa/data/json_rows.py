"""Reads rows of JSON as people's programs write it, and says at which line and column a file is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from looptop.engine.errors import LooptopError, error_text
from looptop.engine.text import visible
from looptop.engine.vqa.data.cells import Cells, RowError

T = TypeVar("T")

FAULTS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, RowError)
"""The errors that reading one row may raise."""

_cells = msgspec.json.Decoder(Cells)
_TEXT_OR_NAN = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|\bNaN\b', re.DOTALL)
"""Strings are matched whole, so that `NaN` inside a string is not replaced. One that is never closed is matched to the
end: otherwise each quotation mark in it would be tried as another beginning."""


def decode_nan(decode: Callable[[bytes], T], data: bytes) -> T:
    """Decodes JSON; if that fails, with `null` for each `NaN`, which Python and pandas write for empty cells.

    Raises:
        msgspec.MsgspecError: The data is not JSON even so, or has another structure.
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
    """The cells of one JSON object.

    Raises:
        One of `FAULTS`: The row is not valid JSON, or not an object.
    """
    return decode_nan(_cells.decode, row)


def read_json_bytes(path: Path) -> bytes:
    """A file's bytes without a byte order mark.

    Raises:
        LooptopError: The file cannot be read, or is empty.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise LooptopError(f"cannot read {visible(path)}: {error_text(error)}") from None
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise LooptopError(f"{visible(path)} is empty")
    return data


def json_error(data: bytes, error: Exception) -> tuple[int, int, str]:
    """Line, column (both from 1) and message of an error that msgspec raised."""
    match = re.search(r"^(?:JSON is malformed: )?(.*) \(byte (\d+)\)$", str(error))
    offset = int(match[2]) if match else len(data)
    message = match[1] if match else "it ends too early"
    if isinstance(error, UnicodeDecodeError):
        message = "not UTF-8 text"
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as not_text:
            offset = not_text.start
    before = data[:offset]
    return before.count(b"\n") + 1, len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1, message


def row_error(error: Exception) -> str:
    """Why a row cannot be decoded, as text for people."""
    text = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
    return visible(text[:1].lower() + text[1:])


def decode_json(path: Path, kind: Any, data: bytes | None = None) -> Any:
    """Decodes a JSON file as a type that msgspec knows; `data` are its bytes, if they were read before.

    Raises:
        LooptopError: The file cannot be read, is not JSON (names line and column), or has another structure.
    """
    data = read_json_bytes(path) if data is None else data
    try:
        return decode_nan(msgspec.json.Decoder(kind).decode, data)
    except msgspec.ValidationError as error:
        raise LooptopError(f"{visible(path)} has the wrong structure: {row_error(error)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        line, column, message = json_error(data, error)
        raise LooptopError(
            f"{visible(path)} is not valid JSON: {visible(message)} at line {line}, column {column}"
        ) from None
    except RecursionError:
        raise LooptopError(f"{visible(path)} is nested too deeply") from None
