"""Versions of config.toml: which settings were renamed or removed, so that older files can still be read.

A file without a version has version 1. To rename or remove a setting, raise `VERSION` and add a `Change`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible

VERSION = 1
KEY = "version"


class Change(NamedTuple):
    """A setting that was renamed or removed."""

    version: int
    """The first version with the change."""
    kind: str
    """The kind of run that has the setting."""
    key: str
    """Its old name, as `table.name`."""
    new_key: str | None
    """Its new name, as `table.name`; None if it was removed."""


CHANGES: tuple[Change, ...] = ()


def with_version(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the current version, to be written to a file."""
    return {KEY: VERSION, **settings}


def upgraded(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The settings of a file under the names of the current version, without the version itself.

    Args:
        data: The content of the file.
        where: The file's name in error messages.

    Raises:
        LooptopError: A newer looptop wrote it, or its version is not a number.
    """
    settings = {key: dict(value) if isinstance(value, Mapping) else value for key, value in data.items() if key != KEY}
    version = data.get(KEY, 1)
    if isinstance(version, bool) or not isinstance(version, int):
        raise LooptopError(f"{where}: version is {visible(repr(version))}; it must be a whole number")
    if version > VERSION:
        raise LooptopError(
            f"{where} was written by a newer looptop (it has version {version}, this one reads up to {VERSION});"
            " update looptop to use it"
        )
    for change in sorted(CHANGES):
        table, _, name = change.key.partition(".")
        if version < change.version and settings.get("kind", "vqa") == change.kind and name in _table(settings, table):
            value = settings[table].pop(name)
            if change.new_key is not None:
                table, _, name = change.new_key.partition(".")
                settings.setdefault(table, {}).setdefault(name, value)
    return settings


def _table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = data.get(name)
    return table if isinstance(table, Mapping) else {}
