"""Writes a run's tables for other programs: CSV, JSON lines, Parquet, or TensorBoard's event files."""

from __future__ import annotations

import csv
import json
import math
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from looptop.engine.errors import LooptopError
from looptop.engine.files.private import refuse_if_read_only
from looptop.engine.interchange.run_tables import ROWS_PER_PAGE, tables_of
from looptop.engine.interchange.table import Row, Table
from looptop.engine.journal.reader import Journal
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible
from looptop.engine.times import is_time

OnPart = Callable[[str, int, float], object]
"""Called repeatedly with the table's name, how many of its rows were read, and the share of the export done, 0 to 1."""


def export(
    run: RunFolder,
    file_format: str,
    out: Path,
    *,
    only: Sequence[str] = (),
    batches: tuple[int, int] | None = None,
    on_part: OnPart | None = None,
) -> list[Path]:
    """Writes a run's tables into a new folder, completely or not at all.

    Args:
        run: The run, live or not.
        file_format: One of `FORMATS`.
        out: The folder to make.
        only: Names of the tables to write; empty for all.
        batches: The first and the last PPO batch in the tables of batches, samples and tokens; None for all.
        on_part: Receives the progress.

    Returns:
        The files.

    Raises:
        LooptopError: The folder exists already or cannot be written, there is no such table or batch, or looptop was
            started with `--readonly`.
    """
    refuse_if_read_only()
    if file_format == "tensorboard" and (only or batches):
        raise LooptopError(
            "TensorBoard's files always hold all scalars and events; to choose tables or batches, use another format"
        )
    if out.exists():
        raise LooptopError(f"{visible(out)} exists already; name another folder with --out, or move it away")
    draft_folder = out.with_name(f".{out.name}-{secrets.token_hex(4)}")
    try:
        draft_folder.mkdir(parents=True, mode=0o700)
        journal = Journal(run.db)
        if file_format == "tensorboard":
            _write_tensorboard(journal, draft_folder, on_part)
        else:
            tables = _choose_tables(tables_of(journal, batches), only)
            for index, table in enumerate(tables):
                path = draft_folder / f"{table.name}.{file_format}"
                WRITERS[file_format](_with_progress(table, index, len(tables), on_part), path)
        draft_folder.rename(out)
    except OSError as error:
        raise LooptopError(f"cannot write to {visible(out)}: {error.strerror}") from None
    finally:
        shutil.rmtree(draft_folder, ignore_errors=True)
    return sorted(path for path in out.iterdir() if path.is_file())


def _choose_tables(tables: list[Table], only: Sequence[str]) -> list[Table]:
    names = [table.name for table in tables]
    for name in only:
        if name not in names:
            raise LooptopError(f"this run has no table '{visible(name)}'; its tables are: {', '.join(names)}")
    return [table for table in tables if not only or table.name in only]


def _with_progress(table: Table, index: int, count: int, on_part: OnPart | None) -> Table:
    """The same table, which calls `on_part` as its pages are read."""
    if on_part is None:
        return table

    def pages() -> Iterator[list[Row]]:
        rows = 0
        for part, page in enumerate(table.pages()):
            rows += len(page)
            on_part(table.name, rows, (index + min(1.0, (part + 1) / max(1, table.parts))) / count)
            yield page

    return replace(table, pages=pages)


def _write_csv(table: Table, path: Path) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table.columns)
        for page in table.pages():
            writer.writerows(page)


def _write_jsonl(table: Table, path: Path) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        for page in table.pages():
            for row in page:
                cells = zip(table.columns, row, strict=True)
                file.write(json.dumps({name: _finite_or_none(value) for name, value in cells}))
                file.write("\n")


def _write_parquet(table: Table, path: Path) -> None:
    import pyarrow as arrow
    from pyarrow import parquet

    types = {str: arrow.string(), int: arrow.int64(), float: arrow.float64(), bool: arrow.bool_()}
    schema = arrow.schema([(name, types[kind]) for name, kind in table.columns.items()])
    with parquet.ParquetWriter(path, schema) as writer:
        for page in table.pages():
            columns = list(zip(*page, strict=True)) if page else [()] * len(schema)
            arrays = [arrow.array(list(column), field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))


def _write_tensorboard(journal: Journal, folder: Path, on_part: OnPart | None) -> None:
    from looptop.engine.interchange.tensorboard import EventWriter

    began = min((change.time for change in journal.states() if is_time(change.time)), default=time.time())
    writer = EventWriter(folder, began)
    try:
        names, rows = journal.names(), 0
        for number, name in enumerate(names):
            after = -(2**63)
            while points := journal.values(name, after, ROWS_PER_PAGE):
                rows += len(points)
                if on_part is not None:
                    on_part("scalars", rows, number / len(names))
                for each in points:
                    writer.scalar(name, each.step, each.time, math.nan if each.value is None else each.value)
                after = points[-1].step
        for number, event in enumerate(journal.events()):
            step = number if event.step is None else event.step
            writer.text(f"events/{event.level}", step, event.time, f"{event.kind}: {event.text}")
    finally:
        writer.close()


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


WRITERS: dict[str, Callable[[Table, Path], None]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "parquet": _write_parquet,
}
"""By format: the function that writes one table into one file."""

FORMATS = (*WRITERS, "tensorboard")
"""All formats."""
