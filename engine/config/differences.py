"""Compares configurations, and writes what differs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def flatten(settings: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """A configuration with dotted keys and values as text: `training.learning_rate` -> `0.001`."""
    lines: dict[str, str] = {}
    for key, value in settings.items():
        name = f"{above}.{key}" if above else str(key)
        if isinstance(value, Mapping):
            lines |= flatten(value, name)
        else:
            lines[name] = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return lines


def side_by_side(configurations: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str | None]]]:
    """Each key with its value in every configuration (None if it has none), in the order of first appearance."""
    lines = [flatten(each) for each in configurations]
    keys = dict.fromkeys(key for each in lines for key in each)
    return [(key, [each.get(key) for each in lines]) for key in keys]


def value_text(value: Any) -> str:
    """A setting's value as it is typed after `--set KEY=`; empty for no value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    text = str(value)
    # Spaces at the ends of a bare word would be lost.
    return f'"{text}"' if text != text.strip() and not {'"', "\\"} & set(text) else text


def only_changes(base: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a configuration that differ from its preset, with its kind and preset: as short as a file can be.

    Args:
        base: The preset, as plain data.
        other: The configuration, as plain data.
    """
    short: dict[str, Any] = {name: other[name] for name in ("kind", "preset") if name in other}
    for table, values in other.items():
        before = base.get(table)
        if isinstance(values, Mapping) and isinstance(before, Mapping):
            changed = {key: value for key, value in values.items() if before.get(key) != value}
            if changed:
                short[table] = changed
        elif values != before:
            short[table] = values
    return short
