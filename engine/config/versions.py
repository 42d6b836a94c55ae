"""Versions of config.toml: what was renamed or taken out of it since, so that older files are read on.

A file without a version is of the first one. Whoever renames or removes a setting raises `VERSION` and adds a `Change`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible

VERSION = 1
KEY = "version"


class Change(NamedTuple):
    """A setting that has another name, or is gone."""

    version: int
    """The first version in which it is so."""
    kind: str
    """Of which kind of run."""
    key: str
    """Its old name, as `table.name`."""
    now: str | None
    """Its name since, as `table.name`; None where it is gone."""


CHANGES: tuple[Change, ...] = ()


def with_version(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the version that they are of, for a file."""
    return {KEY: VERSION, **settings}


def upgraded(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What a file holds, under the names of this version, and without the file's version.

    Args:
        data: All of the file.
        where: What to call it in an error.

    Raises:
        LooptopError: It is a newer looptop's, or its version is no number.
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
            if change.now is not None:
                table, _, name = change.now.partition(".")
                settings.setdefault(table, {}).setdefault(name, value)
    return settings


def _table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = data.get(name)
    return table if isinstance(table, Mapping) else {}
