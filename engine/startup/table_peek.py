"""Reads the first rows of a local CSV, JSONL or Parquet file, without torch and without reading all of it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile, islice
from pathlib import Path
from typing import Any

from looptop.engine.files.private import open_regular
from looptop.engine.paths import path_of


@dataclass(frozen=True)
class TablePeek:
    """The first rows of a local table."""

    columns: list[str]
    rows: list[dict[str, Any]]
    is_complete: bool
    """Whether `rows` is the whole table; False if a row could not be read."""


def peek(source: str, count: int) -> TablePeek:
    """The first rows of a local CSV, JSONL or Parquet file. Empty for any other source or an unreadable file.

    Args:
        source: The value of `data.source`.
        count: At most this many rows.
    """
    path = path_of(source)
    columns: list[str] = []
    rows: list[dict[str, Any]] = []
    is_complete = False
    with contextlib.suppress(OSError, ValueError, LookupError, NotImplementedError, csv.Error, RecursionError):
        all_rows = _rows_of(path, columns)
        rows += islice(all_rows, count)
        is_complete = next(all_rows, None) is None
    return TablePeek(columns or list(rows[0] if rows else ()), rows, is_complete)


def count_rows(source: str) -> int | None:
    """The number of rows of a local CSV, JSONL or Parquet file; None of another source or of an unreadable file."""
    with contextlib.suppress(OSError, ValueError, LookupError, NotImplementedError, csv.Error, RecursionError):
        return sum(1 for _ in _rows_of(path_of(source), []))
    return None


def _rows_of(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    """All rows of a table, read as they are asked for.

    Args:
        path: The file.
        columns: Receives the names of the columns, before the first row, if the format has them apart from its rows.

    Raises:
        ValueError: The format is another one, or the file is damaged. Damage also raises the other errors that `peek`
            ignores.
    """
    kind = path.suffix.lower()
    if kind not in (".csv", ".jsonl", ".parquet") or path.is_dir():
        raise ValueError(kind)
    with os.fdopen(open_regular(path, follow_links=True), "rb") as file:
        if kind == ".parquet":
            from pyarrow import parquet

            table = parquet.ParquetFile(file)
            columns += table.schema_arrow.names
            for batch in table.iter_batches(batch_size=64):
                yield from batch.to_pylist()
            return
        lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        if kind == ".csv":
            reader = csv.DictReader(dropwhile(str.isspace, lines))
            columns += reader.fieldnames or ()
            yield from reader
            return
        for line in lines:
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError(line)
                yield row
