"""The official VQA file formats: questions, annotations and results as JSON.

Rows are kept as raw bytes until they are looked at, so that the 400 MB of VQA v2's annotations do not become gigabytes
of objects, and a single bad row can be told from a bad file.
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
from looptop.engine.errors import LooptopError, error_text
from looptop.engine.text import visible
from looptop.engine.vqa import problems as kinds
from looptop.engine.vqa.cells import Cells, RowError, id_of, is_empty, text_of, votes_of
from looptop.engine.vqa.json_nan import decode_nan
from looptop.engine.vqa.other_formats import keys_in, refuse_other_format

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
_cells = msgspec.json.Decoder(Cells)

FAULTS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, RowError)
"""What reading one row may raise."""


def raw_rows(path: str | os.PathLike[str], key: str) -> list[Raw]:
    """The rows under `key` of a questions or annotations file, not looked at yet; VQA-CP's files are the list alone.

    Raises:
        LooptopError: The file cannot be read, is not JSON (says line and column), or holds no such rows.
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
    found: list[Raw] | None = getattr(rows, key)
    if found is None:
        raise LooptopError(f"{visible(path)} holds no '{key}'; is it another of the VQA files?")
    return found


def cells_of(row: Raw) -> Cells:
    """One row of a questions or annotations file.

    Raises:
        One of `FAULTS`: It is not valid JSON, or no object.
    """
    return decode_nan(_cells.decode, row)


def question_id(row: Raw) -> str:
    """The row's `question_id`.

    Raises:
        One of `FAULTS`: It has none, or it cannot be read.
    """
    key = id_of(_only_id.decode(row).question_id, "question_id")
    if not key:
        raise RowError(kinds.BAD_ROW, "it has no question_id", "question_id")
    return key


def read_questions(path: str | os.PathLike[str]) -> list[Question]:
    """All rows of a questions file.

    Raises:
        LooptopError: The file or one of its rows is not as it should be.
    """
    return _each(path, raw_rows(path, "questions"), _question)


def read_annotations(path: str | os.PathLike[str]) -> list[Annotation]:
    """All rows of an annotations file.

    Raises:
        LooptopError: The file or one of its rows is not as it should be.
    """
    return _each(path, raw_rows(path, "annotations"), _annotation)


def read_results(path: str | os.PathLike[str]) -> dict[str, str]:
    """A results file: answers by question id.

    Raises:
        LooptopError: The file or one of its rows is not as it should be, or a question is answered twice.
    """
    results: dict[str, str] = {}
    for result in _each(path, decode_json(Path(path), list[Raw]), _result):
        key = str(result.question_id)
        if key in results:
            raise LooptopError(f"{visible(path)} answers question {visible(key)} twice")
        results[key] = result.answer
    return results


def check_writable(path: str | os.PathLike[str]) -> None:
    """Looks whether a results file can be written, before hours go into what it will hold.

    Raises:
        LooptopError: It cannot.
    """
    path = Path(path)
    if path.is_dir():
        raise LooptopError(f"cannot write {visible(path)}: it is a directory; name a file")
    try:
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if _is_replaced(path):
            draft = _draft_of(path)
            draft.touch(exist_ok=False)
            draft.unlink()
    except OSError as error:
        raise LooptopError(f"cannot write {visible(path)}: {error.strerror}") from None


def write_results(path: str | os.PathLike[str], answers: Iterable[tuple[Id, str]]) -> None:
    """Writes the official results file, whole or not at all; an id that is a whole number is written as one.

    Raises:
        LooptopError: The file cannot be written.
    """
    path = Path(path)
    data = encode_json([{"question_id": _number(key), "answer": answer} for key, answer in answers])
    draft = _draft_of(path) if _is_replaced(path) else path
    try:
        draft.write_bytes(data)
        if draft is not path:
            if path.exists():
                draft.chmod(stat.S_IMODE(path.stat().st_mode))
            draft.replace(path)
    except OSError as error:
        if draft is not path:
            with contextlib.suppress(OSError):
                draft.unlink()
        raise LooptopError(f"cannot write {visible(path)}: {error.strerror}") from None


def _is_replaced(path: Path) -> bool:
    """Whether the path is, or will be, a file of its own: a device or a pipe is written into."""
    return not path.exists() or path.is_file()


def _draft_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def read_json_bytes(path: Path) -> bytes:
    """A file's bytes, less a byte order mark.

    Raises:
        LooptopError: It cannot be read, or is empty.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise LooptopError(f"cannot read {visible(path)}: {error_text(error)}") from None
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise LooptopError(f"{visible(path)} is empty")
    return data


def json_place(data: bytes, error: Exception) -> tuple[int, int, str]:
    """Line, column (both from 1) and what is wrong there, of JSON that msgspec refused."""
    found = re.search(r"^(?:JSON is malformed: )?(.*) \(byte (\d+)\)$", str(error))
    place = int(found[2]) if found else len(data)
    said = found[1] if found else "it ends too early"
    if isinstance(error, UnicodeDecodeError):
        said = "not UTF-8 text"
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as where:
            place = where.start
    before = data[:place]
    return before.count(b"\n") + 1, len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1, said


def what_is_wrong(error: Exception) -> str:
    """What a row that cannot be decoded has wrong with it."""
    text = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
    return visible(text[:1].lower() + text[1:])


def decode_json(path: Path, kind: Any, data: bytes | None = None) -> Any:
    """A JSON file of a type that msgspec knows; `data` where it has been read.

    Raises:
        LooptopError: It cannot be read, is not JSON (says line and column), or is of another form.
    """
    data = read_json_bytes(path) if data is None else data
    try:
        return decode_nan(msgspec.json.Decoder(kind).decode, data)
    except msgspec.ValidationError as error:
        raise LooptopError(f"{visible(path)} is not as it should be: {what_is_wrong(error)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        line, column, said = json_place(data, error)
        raise LooptopError(
            f"{visible(path)} is not valid JSON: {visible(said)} at line {line}, column {column}"
        ) from None
    except RecursionError:
        raise LooptopError(f"{visible(path)} is nested too deeply") from None


def _each(path: str | os.PathLike[str], rows: list[Raw], read: Callable[[Cells], T]) -> list[T]:
    out: list[T] = []
    for place, row in enumerate(rows):
        try:
            out.append(read(cells_of(row)))
        except FAULTS as error:
            raise LooptopError(f"{visible(path)}: entry {place} is not right: {what_is_wrong(error)}") from None
    return out


def _question(cells: Cells) -> Question:
    if not isinstance(cells.question, str):
        raise RowError(kinds.BAD_ROW, "missing required field `question`", "question")
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
        raise RowError(kinds.BAD_ROW, "missing required field `answer`" if absent else "expected `str`, got `null`")
    answer = cells.answer if isinstance(cells.answer, str) else text_of(cells.answer, "answer")
    return Result(_required_id(cells, "question_id"), answer)


def _required_id(cells: Cells, column: str) -> Id:
    """The id, a number where it is one: as results files write it."""
    value = getattr(cells, column)
    key = id_of(value, column)
    if not key:
        raise RowError(kinds.BAD_ROW, f"missing required field `{column}`", column)
    return key if isinstance(value, str) else _number(key)


def _number(key: Id) -> Id:
    return int(key) if isinstance(key, str) and re.fullmatch(r"0|-?[1-9][0-9]{0,17}", key) else key
