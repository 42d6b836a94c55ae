r"""Stores any text in TOML, JSON and SQLite.

A file name or an argument that is not UTF-8 reaches Python with lone surrogates, which none of the three formats can
hold. `escaped` writes each surrogate as `\udce9`; `restored` gives the same text back.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import tomli_w

# A backslash that looks like the start of an escape is escaped itself, so every text comes back unchanged.
_TO_ESCAPE = re.compile(r"[\ud800-\udfff]|\\(?=u(?:d[89a-f][0-9a-f]{2}|005c))")
_ESCAPE = re.compile(r"\\u(d[89a-f][0-9a-f]{2}|005c)")


def escaped(value: Any) -> Any:
    """The text without lone surrogates; of a mapping or list, the same with all its keys and texts replaced."""
    return _replace(value, lambda text: _TO_ESCAPE.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def restored(value: Any) -> Any:
    """The value that `escaped` received."""
    return _replace(value, lambda text: _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text))


def storable(text: str) -> str:
    """The text without lone surrogates, which no database takes; other texts are returned unchanged."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def sendable(value: Any) -> Any:
    """The text with question marks for lone surrogates; of a mapping or list, the same with all its keys and texts."""
    return _replace(value, lambda text: text.encode("utf-8", "replace").decode())


def dump_toml(data: Mapping[str, Any]) -> bytes:
    """TOML that `parse_toml` reads back to the same data, whatever bytes its texts contain."""
    plain = escaped(data)
    # tomli_w would turn \r\n into \n.
    return tomli_w.dumps(plain, multiline_strings=not _has_return(plain)).encode()


def parse_toml(data: bytes) -> dict[str, Any]:
    """Reads TOML that `dump_toml` or a person wrote.

    Raises:
        ValueError: It is not TOML; the message says why.
    """
    try:
        parsed: dict[str, Any] = restored(tomllib.loads(data.decode()))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return parsed


def encode_json(value: Any) -> bytes:
    """JSON of plain data or a msgspec Struct, whatever bytes its texts contain."""
    try:
        return msgspec.json.encode(value, enc_hook=str)
    except UnicodeEncodeError:
        return msgspec.json.encode(escaped(msgspec.to_builtins(value, enc_hook=str)))


def _has_return(value: Any) -> bool:
    if isinstance(value, str):
        return "\r" in value
    if isinstance(value, Mapping):
        return any(map(_has_return, value.values()))
    return isinstance(value, list | tuple) and any(map(_has_return, value))


def _replace(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return value if value.isascii() and "\\" not in value else change(value)
    if isinstance(value, Mapping):
        return {_replace(key, change): _replace(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replace(item, change) for item in value]
    return value
