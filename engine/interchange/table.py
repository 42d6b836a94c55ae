"""What a table is that an export writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Value = str | int | float | bool | None
Row = Sequence[Value]


@dataclass(frozen=True)
class Table:
    """Rows of one kind."""

    name: str
    """What its file is called."""
    columns: Mapping[str, type]
    """Their names and types."""
    pages: Callable[[], Iterator[list[Row]]]
    """Reads the rows, a few at a time."""
    parts: int = 1
    """About how many times `pages` gives some."""
