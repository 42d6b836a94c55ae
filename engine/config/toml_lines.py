"""Finds the line of a TOML text that sets a key, so that an error can name it."""

from __future__ import annotations

import re

_TABLE = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_.\-]+)\s*\]\]?")
_VALUE = re.compile(r"\s*[\"']?([A-Za-z0-9_\-]+)[\"']?\s*=\s*(.*)")


def line_of(text: str, key: str) -> int | None:
    """The number of the line that sets a key, or that begins its table; None if neither is there.

    Args:
        text: A configuration as a person writes it: one setting a line, below `[table]` or `[[rewards]]`.
        key: The key, as `--set` takes it: `table.name`, or `rewards.ITS_NAME.name`.
    """
    table, _, name = key.rpartition(".")
    of_table: int | None = None
    current, began = "", 0
    settings: dict[str, int] = {}
    for number, line in enumerate([*text.splitlines(), "[end]"], start=1):
        header = _TABLE.match(line)
        if header is None:
            value = _VALUE.match(line)
            if value is None:
                continue
            settings.setdefault(value[1], number)
            if value[1] == "name" and current == "rewards":
                current = f"rewards.{value[2].split('#')[0].strip().strip(chr(34) + chr(39))}"
            continue
        # A part of the reward may name itself below its other settings.
        if current == table and name in settings:
            return settings[name]
        if current in (table, key) and current:
            of_table = of_table or began
        current, began, settings = header[1], number, {}
    return of_table
