"""What is wrong with a configuration, in words for people: rewrites the messages of msgspec."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from msgspec import Struct

from looptop.engine.config.setting_keys import fields_of, keys, listed_table_type, nearest_key
from looptop.engine.text import visible

_TYPE_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "array": "a list",
    "object": "a table",
}
_COMPARISONS = {">": "above", ">=": "of at least", "<": "below", "<=": "of at most", "": ""}
_EXPECTED = re.compile(r"Expected `(\w+)(?: \| null)?`(?: (>=|<=|>|<) (\S+?)(?:\.0)?)?(?:, got `.*`)?")


def explain(message: str, data: Mapping[str, Any], config_type: type[Struct]) -> tuple[str, str]:
    """Rewrites a message of msgspec for people.

    Returns:
        The key that the message is about, and the sentence, which names the key as `--set` does, not as msgspec's path
        (`$.training.x`). For a missing key it is the key of its table. It is empty if the message is about several keys
        or about the whole configuration.
    """
    text, _, path = message.partition(" - at `$.")
    key = path.rstrip("`")
    unknown = re.match(r"Object contains unknown field `(.*)`", text)
    if unknown:
        key = f"{_key_of(key, data)}.{unknown[1]}" if key else unknown[1]
        # A key with a table in front is compared with all settings. Without one it may be a table's name, which
        # `nearest_key` does not know, so it is compared with these first; then with all settings, in case the table was
        # forgotten.
        near = nearest_key(key, data, config_type) if "." in key else ""
        near = near or next(iter(difflib.get_close_matches(key, fields_of(config_type), n=1)), "")
        near = near or next(iter(difflib.get_close_matches(key, list(keys(config_type)), n=1, cutoff=0.5)), "")
        return key, f"there is no key '{visible(key)}'" + (
            f"; did you mean '{near}'?" if near else "; a newer looptop may have it; `looptop config` lists this one's"
        )
    missing = re.match(r"Object missing required field `(.*)`", text)
    if missing:
        return key, f"the key '{visible(f'{key}.{missing[1]}' if key else missing[1])}' is missing"
    if not key:  # The message is about the whole configuration.
        return "", visible(text)
    value: Any = data
    for part in filter(None, re.split(r"[.\[\]]+", key)):
        value = value[int(part)] if isinstance(value, list | tuple) else value.get(part, "?")
    if isinstance(value, Mapping) and not text.startswith("Expected"):  # The message is about a whole table.
        return "", visible(text)
    complaint = _requirement(text) or text[0].lower() + text[1:].replace("`", "")
    if text.startswith("Invalid enum value"):
        complaint = f"it must be one of: {', '.join(_choices(key, config_type))}"
    setting = re.sub(r"\[[^\]]*\]$", "", _key_of(key, data))
    return setting, f"{visible(setting)} is {visible(repr(value))}: {visible(complaint)}"


def _key_of(path: str, data: Mapping[str, Any]) -> str:
    """A path of msgspec as a key of `--set`: `rewards[0].weight` becomes `rewards.NAME.weight`."""
    match = re.fullmatch(r"(\w+)\[(\d+)\](.*)", path)
    tables = data.get(match[1]) if match else None
    if match is None or not isinstance(tables, list | tuple):
        return path
    table = tables[int(match[2])]
    return f"{match[1]}.{table['name']}{match[3]}" if isinstance(table, Mapping) and "name" in table else path


def _choices(key: str, config_type: type[Struct]) -> list[str]:
    """The values that a key accepts, from the `Literal` in its type."""
    expected: Any = config_type
    for part in re.sub(r"\[[^\]]*\]", "", key).split("."):
        expected = fields_of(listed_table_type(expected) or expected)[part]
    while get_origin(expected) not in (Literal, None):
        expected = next((part for part in get_args(expected) if get_origin(part) or part is not types.NoneType), None)
    return [str(word) for word in get_args(expected)]


def _requirement(text: str) -> str:
    """What msgspec expected, in words: "it must be a number above 0"; empty if its message has another form."""
    match = _EXPECTED.fullmatch(text)
    if match is None or match[1] not in _TYPE_WORDS:
        return ""
    return f"it must be {_TYPE_WORDS[match[1]]} {_COMPARISONS[match[2] or '']} {match[3] or ''}".rstrip()
