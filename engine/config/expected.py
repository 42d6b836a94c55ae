"""What msgspec says that it expected, in words for people."""

from __future__ import annotations

import re

_TYPE_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "array": "a list",
    "object": "a table",
}
_LIMITS = {">": "above", ">=": "of at least", "<": "below", "<=": "of at most", "": ""}
_EXPECTED = re.compile(r"Expected `(\w+)(?: \| null)?`(?: (>=|<=|>|<) (\S+?)(?:\.0)?)?(?:, got `.*`)?")


def must_be(text: str) -> str:
    """What msgspec expected, in words: "it must be a number above 0"; empty if its message has another form."""
    match = _EXPECTED.fullmatch(text)
    if match is None or match[1] not in _TYPE_WORDS:
        return ""
    return f"it must be {_TYPE_WORDS[match[1]]} {_LIMITS[match[2] or '']} {match[3] or ''}".rstrip()
