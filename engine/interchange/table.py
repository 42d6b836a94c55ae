"""The table that an export writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Value = str | int | float | bool | None
Row = Sequence[Value]


@dataclass(frozen=True)
class Table:
    """Rows of one kind."""

    name: str
    """The name of its file, without the ending."""
    columns: Mapping[str, type]
    """The columns' names and types."""
    pages: Callable[[], Iterator[list[Row]]]
    """Reads the rows, one list of some rows after another."""
    parts: int = 1
    """About how many lists `pages` yields, to show the progress."""
