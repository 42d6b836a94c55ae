"""A plain folder of images with a CSV or JSONL table of `image,question,answer`."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible
from looptop.engine.vqa import problems as kinds
from looptop.engine.vqa.problems import Problems
from looptop.engine.vqa.rows import ImageChecks, Row, answer_type
from looptop.engine.vqa.vqa_files import json_place, read_json_bytes, what_is_wrong

COLUMNS = ("image", "question", "answer")
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
SPLITS = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
"""What a table is called to be a split of its own."""


class _Entry(Struct):
    image: str
    question: str
    answer: str | int | float | bool | None = None
    question_id: str | int | None = None
    image_id: str | int | None = None
    answers: list[str] | None = None
    question_type: str = ""
    answer_type: str = ""


def find_tables(source: Path) -> dict[str, Path]:
    """The tables of a folder by split: `train`, and where they are there `validation` and `test`.

    Args:
        source: A folder that holds one table (all of it is `train`) or tables named after splits; or a table itself.

    Raises:
        LooptopError: There is no table, or it is not clear which one is meant.
    """
    if source.is_file():
        if source.suffix.lower() not in SUFFIXES:
            raise LooptopError(f"{visible(source)} is not a table; its name must end in one of {', '.join(SUFFIXES)}")
        return {"train": source}
    tables = sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not tables:
        raise LooptopError(f"{visible(source)} holds no table; put a CSV or JSONL of image,question,answer into it")
    if len(tables) == 1:
        return {"train": tables[0]}
    named = {SPLITS[path.stem.lower()]: path for path in tables if path.stem.lower() in SPLITS}
    if "train" not in named or len(named) < len(tables):
        names = ", ".join(visible(path.name) for path in tables)
        raise LooptopError(
            f"{visible(source)} holds several tables ({names}); name one of them,"
            " or call them train, validation and test"
        )
    return named


def rows(table: Path, problems: Problems, images_folder: Path | None = None, name: str = "row") -> Iterator[Row]:
    """The table's questions, in its order.

    Args:
        table: CSV (any of `, ; tab |` between the columns) or JSONL, in UTF-8.
        problems: Is told what is wrong and left out.
        images_folder: What image names are relative to, if not the table's folder.
        name: What question ids begin with where the table gives none.

    Raises:
        LooptopError: The table cannot be read, or has not the columns `image`, `question` and `answer`.
    """
    folder = (images_folder or table.parent).absolute()
    images = ImageChecks(problems)
    seen: set[str] = set()
    read = _read_jsonl if table.suffix.lower() in (".jsonl", ".ndjson") else _read_csv
    for line, entry in read(table, problems):
        where = f"{table.name} line {line}"
        key = str(entry.question_id) if entry.question_id not in (None, "") else f"{name}-{line}"
        answer = _as_text(entry.answer)
        if not entry.question.strip():
            problems.add(kinds.EMPTY_QUESTION, where)
        elif not answer:
            problems.add(kinds.EMPTY_ANSWER, where)
        elif not entry.image.strip():
            problems.add(kinds.MISSING_IMAGE, where, "no image is named")
        elif key in seen:
            problems.add(kinds.DUPLICATE_ID, f"question {key}", where)
        else:
            seen.add(key)
            image = os.path.join(folder, entry.image.strip())  # noqa: PTH118 (once a row)
            if images.usable(image):
                yield Row(
                    image=image,
                    image_id=_as_text(entry.image_id) or entry.image.strip(),
                    question_id=key,
                    question=entry.question.strip(),
                    answer=answer,
                    answers=entry.answers or [answer],
                    question_type=entry.question_type,
                    answer_type=entry.answer_type or answer_type(answer),
                )


def check_columns(table: Path) -> None:
    """Looks at the first line of a table with columns, and at no more of it.

    Raises:
        LooptopError: It does not name `image`, `question` and `answer`.
    """
    if table.suffix.lower() in (".csv", ".tsv"):
        try:
            with table.open(encoding="utf-8-sig", newline="") as file:
                header = file.readline()
        except (OSError, UnicodeDecodeError):  # said better where all of it is read
            return
        _columns(table, header)


def _columns(table: Path, header: str) -> tuple[str, list[str]]:
    """What stands between the columns, and their names."""
    for delimiter in (",", ";", "\t", "|"):
        columns = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
        if set(COLUMNS) <= set(columns):
            return delimiter, columns
    raise LooptopError(f"the first line of {visible(table)} must name the columns image, question and answer")


def _read_csv(table: Path, problems: Problems) -> Iterator[tuple[int, _Entry]]:
    text = io.StringIO(_text(table), newline="")
    delimiter, columns = _columns(table, text.readline())
    reader = csv.reader(text, delimiter=delimiter)
    while True:
        line = reader.line_num + 2
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.add(kinds.BAD_ROW, f"{table.name} line {line}", error)
            continue
        if not values:
            continue
        cells = dict(zip(columns, values, strict=False))
        if not set(COLUMNS) <= cells.keys() or any(values[len(columns) :]):
            problems.add(kinds.BAD_ROW, f"{table.name} line {line}", f"{len(values)} columns, not {len(columns)}")
            continue
        known = {key: value for key, value in cells.items() if key in _Entry.__struct_fields__ and key != "answers"}
        yield line, msgspec.convert(known, _Entry)


def _read_jsonl(table: Path, problems: Problems) -> Iterator[tuple[int, _Entry]]:
    decoder = msgspec.json.Decoder(_Entry)
    for line, data in enumerate(read_json_bytes(table).split(b"\n"), start=1):
        if not data.strip():
            continue
        try:
            entry = decoder.decode(data)
        except msgspec.ValidationError as error:
            problems.add(kinds.BAD_ROW, f"{table.name} line {line}", what_is_wrong(error))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            _, column, said = json_place(data.rstrip(), error)
            problems.add(kinds.BAD_ROW, f"{table.name} line {line}", f"invalid JSON: {said} at column {column}")
        else:
            yield line, entry


def _text(table: Path) -> str:
    data = read_json_bytes(table)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise LooptopError(f"{visible(table)} is not UTF-8 text (line {line}); save it as UTF-8") from None


def _as_text(value: str | int | float | bool | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value).strip()
