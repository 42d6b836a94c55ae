"""Reads a folder of images with a CSV, JSONL or JSON table of `image,question,answer`, as VizWiz publishes it."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import msgspec
from msgspec import Raw, Struct

from looptop.engine.errors import LooptopError
from looptop.engine.text import counted, visible
from looptop.engine.vqa.data import left_out as problem_kinds
from looptop.engine.vqa.data.cells import ANSWER_COLUMNS, Cells, RowError, checked_row, image_name, parse_votes_cell
from looptop.engine.vqa.data.json_rows import (
    FAULTS,
    cells_of,
    decode_json,
    decode_nan,
    json_error,
    read_json_bytes,
    row_error,
)
from looptop.engine.vqa.data.left_out import Problems
from looptop.engine.vqa.data.other_formats import HEAD_BYTES, is_vqa_v2, refuse_columns, refuse_other_format
from looptop.engine.vqa.data.rows import ImageChecks, Row, answer_type, id_of_image, none_left_error

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
JSON_SUFFIX = ".json"
"""Counts as a table only if a folder has no other: many folders have other JSON files beside their table."""
SPLIT_OF_NAME = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}
"""The split of a table, by its name without the suffix."""
ANNOTATIONS = ("Annotations", "annotations")
"""The folder of the tables in VizWiz's own folder, beside the folders of images."""

MAX_ROW_LINES = 100
"""The largest number of lines of a row of CSV; a quotation mark that is never closed makes one row of all the rest."""

_EXCEL_SEPARATOR = re.compile(r'"?sep=.?"?', re.IGNORECASE)

FIRST_ROWS = 100
"""The number of a table's rows that are checked before a run starts."""


def find_tables(source: Path) -> dict[str, Path]:
    """The tables of a folder by split: `train`, and `validation` and `test` if they exist.

    Args:
        source: A folder with one table (which is `train`) or with tables named after splits, in the folder itself or
            in its folder `Annotations`; or a table.

    Raises:
        LooptopError: There is no table, or it is not clear which one is meant.
    """
    if source.is_file():
        if source.suffix.lower() not in (*SUFFIXES, JSON_SUFFIX):
            raise LooptopError(
                f"{visible(source)} is not a table; its name must end in one of {', '.join((*SUFFIXES, JSON_SUFFIX))}"
            )
        return {"train": source}
    if not source.is_dir():
        raise LooptopError(f"{visible(source)} is neither a file nor a folder; give a table, or a folder with one")
    files = sorted(path for path in source.iterdir() if path.is_file())
    tables = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not tables:
        tables = _json_tables([path for path in files if path.suffix.lower() == JSON_SUFFIX])
    if not tables:
        annotations = next((source / name for name in ANNOTATIONS if (source / name).is_dir()), None)
        if annotations is not None:
            return find_tables(annotations)
        raise LooptopError(
            f"{visible(source)} holds no table; put a CSV, JSONL or JSON of image,question,answer into it"
        )
    if len(tables) == 1:
        return {"train": tables[0]}
    by_split = {SPLIT_OF_NAME[path.stem.lower()]: path for path in tables if path.stem.lower() in SPLIT_OF_NAME}
    if "train" not in by_split or len(by_split) < len(tables):
        names = ", ".join(visible(path.name) for path in tables)
        raise LooptopError(
            f"{visible(source)} holds several tables ({names}); name one of them,"
            " or call them train, validation and test"
        )
    return by_split


def rows(table: Path, problems: Problems, images_folder: Path | None = None, id_prefix: str = "row") -> Iterator[Row]:
    """The table's questions, in its order.

    Args:
        table: CSV (any of `, ; tab |` between the columns), JSONL or JSON (a list of rows, or the list
            under `data`), in UTF-8.
        problems: Collects what is left out.
        images_folder: The folder of the images, if it is not the table's folder or one beside it.
        id_prefix: What question ids begin with, for tables without ids.

    Raises:
        LooptopError: The table cannot be read, or does not have the columns `image`, `question` and `answer`.
    """
    folder = None if images_folder is None else images_folder.absolute()
    images = ImageChecks(problems)
    seen: set[str] = set()
    for unit, number, cells in _read(table, problems):
        where = f"{table.name} {unit} {number}"
        try:
            row = checked_row(cells)
            image_text = image_name(cells)
        except RowError as error:
            problems.add(error.kind, where, error)
            continue
        key = row.question_id or f"{id_prefix}-{number}"
        if key in seen:
            problems.add(problem_kinds.DUPLICATE_ID, f"question {key}", where)
            continue
        seen.add(key)
        folder = folder or _image_folder(table, image_text)
        image = os.path.join(folder, image_text)  # noqa: PTH118 (once a row)
        if images.usable(image):
            yield Row(
                image=image,
                image_id=row.image_id or id_of_image(image_text, folder),
                question_id=key,
                question=row.question,
                answer=row.answer,
                answers=row.votes,
                question_type=row.question_type,
                answer_type=row.answer_type or answer_type(row.answer),
            )


def check_columns(table: Path) -> None:
    """Checks the first line of a CSV table.

    Raises:
        LooptopError: It does not name `image`, `question` and `answer` (or `answers`).
    """
    if table.suffix.lower() in (".csv", ".tsv"):
        try:
            with table.open(encoding="utf-8-sig", newline="") as file:
                header, _ = _header(file)
        except (OSError, UnicodeDecodeError):  # Reading the whole table gives a better message.
            return
        _columns(table, header)


def check_first_rows(table: Path, images_folder: Path | None = None) -> None:
    """Checks a table's first hundred rows and whether their images exist.

    Other problems, and those of later rows, are reported when the whole table is read.

    Args:
        table: The table's file.
        images_folder: The folder of the images, if it is not the table's folder or one beside it.

    Raises:
        LooptopError: The table has no row, or is not a table.
        ImagesMissingError: None of these rows' images exists.
    """
    problems = Problems()
    first = [cells for _, _, cells in itertools.islice(_read(table, problems), FIRST_ROWS)]
    if not first and not len(problems):
        raise none_left_error(table, problems)
    names = []
    for cells in first:
        with contextlib.suppress(RowError):
            checked_row(cells)
            names.append(image_name(cells))
    if not names:
        return
    folder = images_folder.absolute() if images_folder is not None else _image_folder(table, names[0])
    if not any(os.path.lexists(folder / name) for name in names):
        which = f"first {FIRST_ROWS} rows" if len(first) == FIRST_ROWS else "rows"
        raise ImagesMissingError(
            f"none of the images that the {which} of {visible(table)} name is in {visible(folder)}, not even"
            f" {visible(names[0])}; set data.images to their folder"
        )


class ImagesMissingError(LooptopError):
    """A table's images are not in the expected folder."""


def _columns(table: Path, header: str) -> tuple[str, list[str]]:
    """The delimiter and the column names."""
    for delimiter in (",", ";", "\t", "|"):
        try:
            columns = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
        except csv.Error:  # A name is longer than a cell may be.
            continue
        if {"image", "question"} <= set(columns) and not set(columns).isdisjoint(ANSWER_COLUMNS):
            _refuse_twice(table, columns)
            return delimiter, columns
    raise LooptopError(f"the first line of {visible(table)} must name the columns image, question and answer")


def _refuse_twice(table: Path, columns: list[str]) -> None:
    for name in Cells.__struct_fields__:
        if columns.count(name) > 1:
            raise LooptopError(f"the first line of {visible(table)} names the column {name} twice; rename one of them")


def _header(file: TextIO) -> tuple[str, int]:
    """The first line that may name columns, and its number: it may follow empty lines and Excel's `sep=;`."""
    header, number = file.readline(), 1
    while header and (not header.strip() or _EXCEL_SEPARATOR.fullmatch(header.strip())):
        header, number = file.readline(), number + 1
    return header, number


def _read(table: Path, problems: Problems) -> Iterator[tuple[str, int, Cells]]:
    """Each row: what its number counts (lines or entries), the number, and the cells."""
    suffix = table.suffix.lower()
    if suffix not in (".jsonl", ".ndjson", JSON_SUFFIX):
        yield from (("line", line, cells) for line, cells in _read_csv(table, problems))
        return
    data = read_json_bytes(table)
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")  # Lines may end as on old Macs; JSON has no bare `\r` inside texts.
    _refuse_others(table, data)
    refuse_columns(table, data)
    if _is_one_document(data, suffix):
        yield from (("entry", entry, cells) for entry, cells in _read_json(table, data, problems))
    else:
        yield from (("line", line, cells) for line, cells in _read_jsonl(table, data, problems))


def _is_one_document(data: bytes, suffix: str) -> bool:
    """Whether the file is one JSON list or object, not one object a line: both occur with either file name."""
    first, _, others = data.strip().partition(b"\n")
    try:
        row = decode_nan(msgspec.json.Decoder(dict[str, Raw]).decode, first)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return suffix == JSON_SUFFIX or (first[:1] == b"[" and (not others or data.strip()[-1:] == b"]"))
    return not others.strip() and "question" not in row and ("data" in row or suffix == JSON_SUFFIX)


def _read_csv(table: Path, problems: Problems) -> Iterator[tuple[int, Cells]]:
    text = io.StringIO(_text(table), newline="")
    header, header_line = _header(text)
    delimiter, columns = _columns(table, header)
    needed = {"image", "question", next(name for name in ANSWER_COLUMNS if name in columns)}
    reader = csv.reader(text, delimiter=delimiter)
    while True:
        line = reader.line_num + header_line + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.add(problem_kinds.BAD_ROW, _lines_text(table, line, reader.line_num + header_line), error)
            continue
        if not values:
            continue
        end = reader.line_num + header_line
        where = _lines_text(table, line, end)
        if end - line >= MAX_ROW_LINES:
            lines = counted(end - line + 1, "line")
            problems.add(problem_kinds.BAD_ROW, where, f"one row of {lines}: a stray quotation mark")
            continue
        cells = dict(zip(columns, values, strict=False))
        if not needed <= cells.keys() or any(values[len(columns) :]):
            problems.add(problem_kinds.BAD_ROW, where, f"{counted(len(values), 'column')}, not {len(columns)}")
            continue
        known = {key: value for key, value in cells.items() if key in Cells.__struct_fields__}
        try:
            if "answers" in known:
                known["answers"] = parse_votes_cell(known["answers"])
        except RowError as error:
            problems.add(error.kind, where, error)
            continue
        yield line, Cells(**known)


def _lines_text(table: Path, line: int, end: int) -> str:
    return f"{table.name} line {line}" if end <= line else f"{table.name} lines {line} to {end}"


def _read_jsonl(table: Path, data: bytes, problems: Problems) -> Iterator[tuple[int, Cells]]:
    for line, row in enumerate(data.split(b"\n"), start=1):
        if not row.strip():
            continue
        try:
            cells = cells_of(Raw(row))
        except (msgspec.ValidationError, RowError) as error:
            problems.add(problem_kinds.BAD_ROW, f"{table.name} line {line}", row_error(error))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            _, column, message = json_error(row.rstrip(), error)
            problems.add(
                problem_kinds.BAD_ROW, f"{table.name} line {line}", f"invalid JSON: {message} at column {column}"
            )
        else:
            yield line, cells


def _read_json(table: Path, data: bytes, problems: Problems) -> Iterator[tuple[int, Cells]]:
    """A list of objects, or an object with the list under `data`."""
    entries = decode_json(table, list[Raw] | _Document, data)
    if isinstance(entries, _Document):
        if not isinstance(entries.data, list):
            raise LooptopError(
                f"{visible(table)} is not a table; write a list of objects with image, question and answer"
            )
        entries = entries.data
    for number, entry in enumerate(entries, start=1):
        try:
            yield number, cells_of(entry)
        except FAULTS as error:
            problems.add(problem_kinds.BAD_ROW, f"{table.name} entry {number}", row_error(error))


class _Document(Struct):
    data: list[Raw] | dict[str, Raw] | None = None


def _json_tables(files: list[Path]) -> list[Path]:
    """The JSON files that may be tables.

    Raises:
        LooptopError: All are of other formats; names the first one's.
    """
    tables, refused = [], []
    for path in files:
        try:
            with path.open("rb") as file:
                _refuse_others(path, file.read(HEAD_BYTES))
            tables.append(path)
        except LooptopError as error:
            refused.append(error)
        except OSError:
            tables.append(path)  # Reading it later reports why it cannot be read.
    if refused and not tables:
        raise refused[0]
    return tables


def _refuse_others(path: Path, data: bytes) -> None:
    refuse_other_format(path, data)
    if is_vqa_v2(data):
        raise LooptopError(
            f"{visible(path)} is one of VQA v2's files; give --data vqa-v2 and set annotations, questions and images"
        )


def _image_folder(table: Path, name: str) -> Path:
    """The folder that has the first image: the table's own, or one of the usual folders for images beside it."""
    above = table.absolute().parent
    folders = [above, above / table.stem, above / "images", above.parent / table.stem, above.parent / "images"]
    return next((folder for folder in folders if os.path.lexists(folder / name)), above)


def _text(table: Path) -> str:
    data = read_json_bytes(table)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise LooptopError(f"{visible(table)} is not UTF-8 text (line {line}); save it as UTF-8") from None
