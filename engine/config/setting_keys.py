"""The keys of a configuration, as they are typed after `--set`, and the closest to one that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

import msgspec
from msgspec import Struct


def keys(config_type: type[Struct]) -> Iterator[str]:
    """Every key of a type of configuration that `override` accepts, as `table.name`; for a list of tables, its name."""
    for name, field_type in fields_of(config_type).items():
        if isinstance(field_type, type) and issubclass(field_type, Struct):
            yield from (f"{name}.{inner}" for inner in fields_of(field_type))
        elif listed_table_type(field_type) is not None:
            yield name


def fields_of(table: type[Struct]) -> dict[str, Any]:
    """The type of each key of a table."""
    return {field.name: field.type for field in msgspec.structs.fields(table)}


def listed_table_type(field_type: Any) -> type[Struct] | None:
    """The type of the tables in a list of tables; None for any other type."""
    inner = get_args(field_type)[:1] if get_origin(field_type) is tuple else ()
    return inner[0] if inner and isinstance(inner[0], type) and issubclass(inner[0], Struct) else None


def nearest_key(key: str, data: Mapping[str, Any], config_type: type[Struct]) -> str:
    """The known setting closest to an unknown key; empty if none is close."""
    known = list(keys(config_type))
    known += [each.partition(".")[2] for each in known if "." in each]
    for name, field_type in fields_of(config_type).items():
        if (item := listed_table_type(field_type)) is not None:
            known += [f"{name}.{each}.{inner}" for each in _names(data.get(name)) for inner in fields_of(item)]
    # A key with a table in front is compared with the other keys of that table first.
    table_prefix = key.rpartition(".")[0] + "."
    neighbours = [each for each in known if table_prefix != "." and each.startswith(table_prefix)]
    near = difflib.get_close_matches(key.rpartition(".")[2], [each[len(table_prefix) :] for each in neighbours], n=1)
    if near:
        return table_prefix + near[0]
    return next(iter(difflib.get_close_matches(key, known, n=1, cutoff=0.5)), "")


def _names(tables: Any) -> list[str]:
    """The names of a list's tables."""
    rows = tables if isinstance(tables, list | tuple) else []
    return [str(each["name"]) for each in rows if isinstance(each, Mapping) and "name" in each]
