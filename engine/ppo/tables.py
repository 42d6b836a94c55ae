"""Tables of texts: local files, and data sets of the package `datasets` on disk or on the hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from looptop.engine.errors import LooptopError, error_text
from looptop.engine.paths import path_of
from looptop.engine.text import visible

ROWS_PER_READ = 10_000
"""The number of rows of a CSV file that are read together."""

MORE_CELLS = "its rows have more cells than its first line has names"
TWICE = "more than one column is called '{}'"


@dataclass(frozen=True)
class Table:
    """The cells of some of a table's columns.

    Attributes:
        names: The names of all columns.
        columns: The cells of those columns that were asked for and exist.
    """

    names: list[str]
    columns: dict[str, list[Any]]

    def rows(self) -> Iterable[dict[str, Any]]:
        """The rows, with the columns that were asked for."""
        return (dict(zip(self.columns, cells, strict=True)) for cells in zip(*self.columns.values(), strict=True))


def read_table(source: str, split: str, wanted: Collection[str], count: int | None = None) -> Table:
    """Reads columns of a local file or of a data set. All cells of a CSV file are texts, also `NA`, `12` and `true`.

    Args:
        source: A CSV, JSON, JSONL or Parquet file, a folder that `save_to_disk` wrote, or a data set's name on the hub.
        split: The split of a data set on the hub.
        wanted: The names of the columns to read.
        count: At most this many rows; None for all.

    Raises:
        LooptopError: The data is missing or cannot be read.
    """
    path = path_of(source)
    try:
        if not path.is_file():
            return _read_data_set(source, split, wanted, count)
        reader = READERS.get(path.suffix.lower())
        if reader is None:
            known = ", ".join(READERS)
            raise LooptopError(f"{visible(source)} is not a table that can be read; its name must end in {known}")
        table = reader(path, wanted)
    except LooptopError:
        raise
    except Exception as error:  # pandas, pyarrow, the hub and the file system each raise errors of their own.
        cause = error.__cause__ or error
        reason = "it is not UTF-8 text" if isinstance(cause, UnicodeDecodeError) else error_text(cause)
        raise LooptopError(
            f"the data {visible(source)} cannot be read: {reason};"
            " give newsroom, a CSV, JSONL or Parquet file, or a data set's name on the hub"
        ) from None
    return Table(table.names, {name: cells[:count] for name, cells in table.columns.items()})


def _read_csv(path: Path, wanted: Collection[str]) -> Table:
    import pandas

    options: dict[str, Any] = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
    header = pandas.read_csv(path, header=None, nrows=1, **options).iloc[0].tolist()
    _refuse_twice(header, wanted)
    names: list[str] = []
    columns: dict[str, list[Any]] = {}
    with pandas.read_csv(path, chunksize=ROWS_PER_READ, **options) as chunks:
        for chunk in chunks:
            if not isinstance(chunk.index, pandas.RangeIndex):
                raise ValueError(MORE_CELLS)
            names = chunk.columns.tolist()
            for name in names:
                if name in wanted:
                    columns.setdefault(name, []).extend(chunk[name])
    return Table(names, columns)


def _read_json(path: Path, wanted: Collection[str]) -> Table:
    """A list of objects or of texts, or an object a line."""
    with path.open(encoding="utf-8-sig") as file:
        if file.read(4096).lstrip()[:1] == "[":
            file.seek(0)
            entries = enumerate(json.load(file, object_pairs_hook=_object), 1)
            return _of_rows(((f"entry {number}", row) for number, row in entries), wanted)
        file.seek(0)
        return _of_rows(_json_lines(file), wanted)


def _json_lines(file: Iterable[str]) -> Iterable[tuple[str, Any]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                row = json.loads(line, object_pairs_hook=_object)
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number}, column {error.colno}: {error.msg}") from None
            yield f"line {number}", row


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        _refuse_twice([name for name, _ in pairs], row)
    return row


def _of_rows(rows: Iterable[tuple[str, Any]], wanted: Collection[str]) -> Table:
    """The table of JSON rows, each with its place in the file. A column that a row lacks is None there."""
    names: dict[str, None] = {}
    columns: dict[str, list[Any]] = {name: [] for name in wanted}
    for place, row in rows:
        if isinstance(row, str):
            row = {"text": row}
        if not isinstance(row, dict):
            raise ValueError(f"{place} is not an object")
        names.update(dict.fromkeys(row))
        for name, cells in columns.items():
            cell = row.get(name)
            try:
                if isinstance(cell, str):
                    cell.encode()
            except UnicodeEncodeError:
                raise ValueError(f"{place} is not UTF-8 text") from None
            cells.append(cell)
    return Table(list(names), {name: cells for name, cells in columns.items() if name in names})


def _read_parquet(path: Path, wanted: Collection[str]) -> Table:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        names: list[str] = file.schema_arrow.names
        _refuse_twice(names, wanted)
        columns: dict[str, list[Any]] = {name: [] for name in names if name in wanted}
        for batch in file.iter_batches(columns=list(columns)):
            for name, cells in columns.items():
                cells += batch.column(name).to_pylist()
    return Table(names, columns)


def _read_data_set(source: str, split: str, wanted: Collection[str], count: int | None) -> Table:
    import datasets

    from looptop.engine.training.quiet_datasets import quiet

    folder = path_of(source)
    with quiet():
        if (folder / "dataset_info.json").is_file():
            data = datasets.load_from_disk(str(folder))
        else:
            data = datasets.load_dataset(source, split=split)
        names: list[str] = data.column_names
        return Table(names, {name: data[name][:count] for name in names if name in wanted})


def _refuse_twice(names: list[str], wanted: Collection[str]) -> None:
    for name in wanted:
        if names.count(name) > 1:
            raise ValueError(TWICE.format(name))


READERS: dict[str, Callable[[Path, Collection[str]], Table]] = {
    ".csv": _read_csv,
    ".jsonl": _read_json,
    ".json": _read_json,
    ".parquet": _read_parquet,
}
"""How a file is read, by the ending of its name."""
