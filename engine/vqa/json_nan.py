"""Reads the JSON that Python and pandas write: `NaN`, which JSON does not know, stands there for an empty cell."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

T = TypeVar("T")

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
