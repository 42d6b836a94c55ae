"""The official VQA file formats: questions, annotations and results as JSON.

Rows stay raw bytes until they are needed, so that the 400 MB of VQA v2's annotations do not become gigabytes of
objects, and one bad row does not make the whole file unreadable.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct

from looptop.engine.encoding import encode_json
from looptop.engine.errors import LooptopError
from looptop.engine.text import visible
from looptop.engine.vqa.data import left_out as problem_kinds
from looptop.engine.vqa.data.cells import Cells, RowError, id_of, is_empty, text_of, votes_of
from looptop.engine.vqa.data.json_rows import FAULTS, cells_of, decode_json, read_json_bytes, row_error
from looptop.engine.vqa.data.other_formats import keys_in, refuse_other_format

Id = int | str
T = TypeVar("T")


class Question(Struct, frozen=True, gc=False):
    """One row of a questions file."""

    question_id: Id
    image_id: Id
    question: str


class Vote(Struct, frozen=True, gc=False):
    """One of the ten people's answers."""

    answer: str


class Annotation(Struct, frozen=True, gc=False):
    """One row of an annotations file."""

    question_id: Id
    answers: list[Vote]
    multiple_choice_answer: str = ""
    """The most common of the ten answers."""
    question_type: str = ""
    answer_type: str = ""


class Result(Struct, frozen=True, gc=False):
    """One row of a results file."""

    question_id: Id
    answer: str


class _OnlyId(Struct, frozen=True, gc=False):
    question_id: Any = None


_only_id = msgspec.json.Decoder(_OnlyId)


def raw_rows(path: str | os.PathLike[str], key: str) -> list[Raw]:
    """The rows under `key` of a questions or annotations file, not decoded yet; VQA-CP's files are a plain list.

    Raises:
        LooptopError: The file cannot be read, is not JSON (names line and column), or has no such rows.
    """
    path = Path(path)
    data = read_json_bytes(path)
    refuse_other_format(path, data)
    if data.lstrip()[:1] == b"[":
        keys = keys_in(data)
        if {"image", "question"} <= keys:
            raise LooptopError(
                f"{visible(path)} is a table, not one of VQA v2's files; give it as --data {visible(path)}"
            )
        if {"question_id", "question" if key == "questions" else "answers"} <= keys:
            listed: list[Raw] = decode_json(path, list[Raw], data)
            return listed
    rows = decode_json(path, msgspec.defstruct("File", [(key, list[Raw] | None, None)]), data)
    raw: list[Raw] | None = getattr(rows, key)
    if raw is None:
        raise LooptopError(f"{visible(path)} holds no '{key}'; is it another of the VQA files?")
    return raw


def question_id(row: Raw) -> str:
    """The row's `question_id`.

    Raises:
        One of `FAULTS`: The row has no `question_id`, or it cannot be read.
    """
    key = id_of(_only_id.decode(row).question_id, "question_id")
    if not key:
        raise RowError(problem_kinds.BAD_ROW, "it has no question_id", "question_id")
    return key


def read_questions(path: str | os.PathLike[str]) -> list[Question]:
    """All rows of a questions file.

    Raises:
        LooptopError: The file or one of its rows is invalid.
    """
    return _decode_rows(path, raw_rows(path, "questions"), _question)


def read_annotations(path: str | os.PathLike[str]) -> list[Annotation]:
    """All rows of an annotations file.

    Raises:
        LooptopError: The file or one of its rows is invalid.
    """
    return _decode_rows(path, raw_rows(path, "annotations"), _annotation)


def read_results(path: str | os.PathLike[str]) -> dict[str, str]:
    """A results file: answers by question id.

    Raises:
        LooptopError: The file or one of its rows is invalid, or a question is answered twice.
    """
    results: dict[str, str] = {}
    for result in _decode_rows(path, decode_json(Path(path), list[Raw]), _result):
        key = str(result.question_id)
        if key in results:
            raise LooptopError(f"{visible(path)} answers question {visible(key)} twice")
        results[key] = result.answer
    return results


def check_writable(path: str | os.PathLike[str]) -> None:
    """Checks that a results file can be written, before hours of prediction.

    Raises:
        LooptopError: The file cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        raise LooptopError(f"cannot write {visible(path)}: it is a directory; name a file")
    try:
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if _can_replace(path):
            temporary = _temporary_path(path)
            temporary.touch(exist_ok=False)
            temporary.unlink()
    except OSError as error:
        raise LooptopError(f"cannot write {visible(path)}: {error.strerror}") from None


def write_results(path: str | os.PathLike[str], answers: Iterable[tuple[Id, str]]) -> None:
    """Writes the official results file atomically; an id that is a whole number is written as a number.

    Raises:
        LooptopError: The file cannot be written.
    """
    path = Path(path)
    data = encode_json([{"question_id": _number(key), "answer": answer} for key, answer in answers])
    temporary = _temporary_path(path) if _can_replace(path) else path
    try:
        temporary.write_bytes(data)
        if temporary is not path:
            if path.exists():
                temporary.chmod(stat.S_IMODE(path.stat().st_mode))
            temporary.replace(path)
    except OSError as error:
        if temporary is not path:
            with contextlib.suppress(OSError):
                temporary.unlink()
        raise LooptopError(f"cannot write {visible(path)}: {error.strerror}") from None


def _can_replace(path: Path) -> bool:
    """Whether a new file can replace the path atomically: it is a regular file or does not exist yet.

    Devices and pipes are written in place.
    """
    return not path.exists() or path.is_file()


def _temporary_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def _decode_rows(path: str | os.PathLike[str], rows: list[Raw], decode: Callable[[Cells], T]) -> list[T]:
    """Decodes each row; `decode` receives its fields as `Cells`, as those of a table's row."""
    out: list[T] = []
    for index, row in enumerate(rows):
        try:
            out.append(decode(cells_of(row)))
        except FAULTS as error:
            raise LooptopError(f"{visible(path)}: entry {index} is invalid: {row_error(error)}") from None
    return out


def _question(cells: Cells) -> Question:
    if not isinstance(cells.question, str):
        raise RowError(problem_kinds.BAD_ROW, "missing required field `question`", "question")
    return Question(_required_id(cells, "question_id"), _required_id(cells, "image_id"), cells.question)


def _annotation(cells: Cells) -> Annotation:
    return Annotation(
        _required_id(cells, "question_id"),
        [Vote(vote) for vote in votes_of(cells.answers)],
        text_of(cells.multiple_choice_answer, "multiple_choice_answer"),
        text_of(cells.question_type, "question_type"),
        text_of(cells.answer_type, "answer_type"),
    )


def _result(cells: Cells) -> Result:
    if is_empty(cells.answer):
        absent = cells.answer is UNSET
        raise RowError(
            problem_kinds.BAD_ROW, "missing required field `answer`" if absent else "expected `str`, got `null`"
        )
    answer = cells.answer if isinstance(cells.answer, str) else text_of(cells.answer, "answer")
    return Result(_required_id(cells, "question_id"), answer)


def _required_id(cells: Cells, column: str) -> Id:
    """The id in a column: an integer if it is written as one, otherwise text."""
    value = getattr(cells, column)
    key = id_of(value, column)
    if not key:
        raise RowError(problem_kinds.BAD_ROW, f"missing required field `{column}`", column)
    return key if isinstance(value, str) else _number(key)


def _number(key: Id) -> Id:
    return int(key) if isinstance(key, str) and re.fullmatch(r"0|-?[1-9][0-9]{0,17}", key) else key
