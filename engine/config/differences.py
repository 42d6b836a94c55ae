"""Configurations side by side, and what would have to be set to make one of another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def flat(settings: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """A configuration as one line a value: `training.learning_rate` -> `0.001`."""
    lines: dict[str, str] = {}
    for key, value in settings.items():
        name = f"{above}.{key}" if above else str(key)
        if isinstance(value, Mapping):
            lines |= flat(value, name)
        else:
            lines[name] = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return lines


def side_by_side(configurations: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str | None]]]:
    """Each key with its value in every configuration, None where it has none; in the order of the first ones."""
    lines = [flat(each) for each in configurations]
    keys = dict.fromkeys(key for each in lines for key in each)
    return [(key, [each.get(key) for each in lines]) for key in keys]


def changes(base: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, str]:
    """What to set, as `--set KEY=VALUE` takes it, to make the other configuration of the base.

    Only tables' keys: `kind` and `preset` are not set but chosen.
    """
    changed: dict[str, str] = {}
    for table, values in other.items():
        if not isinstance(values, Mapping):
            continue
        before = base.get(table)
        for key, value in values.items():
            if not isinstance(before, Mapping) or before.get(key) != value:
                changed[f"{table}.{key}"] = _as_typed(value)
    return changed


def _as_typed(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(str(each) for each in value)
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
