"""Checks the cells of one row, in the same way for every source: tables, VQA v2, VizWiz and prepared data sets.

Programs write the same row in different ways: pandas writes null for an empty cell and 7.0 for the id 7, VizWiz writes
votes as objects, others write them as strings or numbers. All of these are read; an invalid row is rejected with a
reason.
"""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.data import left_out as problem_kinds
from looptop.engine.vqa.data.normalise import normalise

ANSWER_COLUMNS = ("answer", "multiple_choice_answer", "answers")
"""A row needs one of these columns."""

_TYPE_NAMES = {type(None): "null", list: "array", dict: "object"}
_MAX_WHOLE_FLOAT = 1e15
"""A float holds whole numbers below this exactly, so that 7.0 can be read as the id 7."""

_LIST_START = re.compile(r"\[|[({]\s*['\"]|(?:np\.|numpy\.)?array\(")
"""The beginning of a list, a tuple, a set or an array written as a string."""
_VALUE = re.compile(
    r"""('(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?|[\w.+-]+|[\])}])  # a string, a number or name, or the end of a list
    (\s*)(?=(['"\w.+\-\[({])?)""",
    re.DOTALL | re.VERBOSE,
)
"""One value in such a string, the space after it, and the beginning of the next value if no comma separates them."""
_QUOTES = "'\""
_NUMPY_NAMES = {"array", "str_", "int32", "int64", "float32", "float64", "bool_", "True_", "False_"}


class Cells(Struct, gc=False):
    """One row of a table, or one JSON object, as it was read: a cell may hold any value. Other columns are ignored.

    UNSET tells a missing column from an empty cell, where the reason of a rejected row differs: `image`, `question` and
    `answer`. For the others both are None.
    """

    image: Any = UNSET
    question: Any = UNSET
    image_id: Any = None
    question_id: Any = None
    answer: Any = UNSET
    multiple_choice_answer: Any = None
    answers: Any = None
    question_type: Any = None
    answer_type: Any = None


class CheckedRow(Struct, frozen=True, gc=False):
    """A valid row; an empty cell is an empty string."""

    question: str
    image_id: str
    question_id: str
    answer: str
    """The training target: the answer column, else the most common vote."""
    votes: list[str]
    """All votes unchanged; only the answer if there are none."""
    votes_for_answer: int | None
    """The number of votes that equal the answer; None if there are no votes.

    A given answer is compared exactly. An answer that is the most common vote counts all spellings of it, as
    `most_common` does.
    """
    question_type: str
    answer_type: str


class RowError(LooptopError):
    """Raised for a row that is left out; says why.

    Attributes:
        kind: One of `left_out`'s kinds.
        column: The column that is wrong, or empty.
    """

    def __init__(self, kind: str, detail: str = "", column: str = "") -> None:
        super().__init__(detail)
        self.kind = kind
        self.column = column


def checked_row(cells: Cells) -> CheckedRow:
    """Checks a row's question, answer, votes and ids, and converts them to strings; `image_name` checks the image.

    Raises:
        RowError: The question or the answer is missing or empty, or a cell cannot be read.
    """
    if cells.question is UNSET:
        raise RowError(problem_kinds.BAD_ROW, "missing required field `question`", "question")
    if not isinstance(cells.question, str) and not is_empty(cells.question):
        raise _unexpected("str", cells.question, "question")
    question = text_of(cells.question, "question")
    if not question:
        raise RowError(problem_kinds.EMPTY_QUESTION, column="question")
    answer, votes, votes_for_answer = _answer(cells)
    if not answer:
        raise RowError(problem_kinds.EMPTY_ANSWER, column="answer")
    return CheckedRow(
        question=question,
        image_id=id_of(cells.image_id, "image_id"),
        question_id=id_of(cells.question_id, "question_id"),
        answer=answer,
        votes=votes or [answer],
        votes_for_answer=votes_for_answer,
        question_type=text_of(cells.question_type, "question_type"),
        answer_type=text_of(cells.answer_type, "answer_type"),
    )


def image_name(cells: Cells) -> str:
    """The image file that a row names.

    Raises:
        RowError: The row names no image, or the cell is not a string.
    """
    if cells.image is UNSET:
        raise RowError(problem_kinds.BAD_ROW, "missing required field `image`", "image")
    if is_empty(cells.image):
        raise RowError(problem_kinds.MISSING_IMAGE, "no image is named", "image")
    if not isinstance(cells.image, str):
        raise _unexpected("str", cells.image, "image")
    name = text_of(cells.image, "image")
    if not name:
        raise RowError(problem_kinds.MISSING_IMAGE, "no image is named", "image")
    return name


def text_of(value: Any, column: str) -> str:
    """A cell as a string: an empty cell becomes "", 3.0 becomes "3", true becomes "yes".

    Raises:
        RowError: The value is a list, an object or bytes, or a number of thousands of digits.
    """
    if isinstance(value, str):
        if not value.isascii():
            _refuse_surrogates(value, column)
        return value.strip()
    if is_empty(value):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_WHOLE_FLOAT:
        return str(int(value))
    if isinstance(value, (int, float, Decimal)):
        return _number_text(value, column)
    raise _unexpected("str", value, column)


def id_of(value: Any, column: str) -> str:
    """An id as a string; 7, 7.0, "7" and "7.0" are the same id, and an empty cell gives "".

    Raises:
        RowError: The value is neither a number nor a string.
    """
    if type(value) is int:
        return _number_text(value, column)
    if isinstance(value, bool):
        raise _unexpected("int | str", value, column)
    try:
        text = text_of(value, column)
    except RowError as error:
        if isinstance(value, str):
            raise
        raise _unexpected("int | str", value, column) from error
    return text[: text.index(".")] if "." in text and re.fullmatch(r"-?\d+\.0+", text) else text


def votes_of(value: Any, column: str = "answers") -> list[str]:
    """People's answers, from a list of strings, numbers or objects with an `answer`; an empty cell has none.

    Strings are kept unchanged, with their spaces: the official accuracy counts an empty vote as one of the ten.

    Raises:
        RowError: The value is not such a list.
    """
    if is_empty(value):
        return []
    if isinstance(value, dict) and isinstance(value.get("answer"), list):  # a column of lists, as Arrow keeps it
        value = value["answer"]
    if not isinstance(value, list):
        raise _unexpected("array", value, column)
    votes = []
    for vote in value:
        if isinstance(vote, dict):
            if "answer" not in vote:
                raise RowError(problem_kinds.BAD_ROW, f"{column}: a vote is an object without `answer`", column)
            vote = vote["answer"]
        if isinstance(vote, str):
            if not vote.isascii():
                _refuse_surrogates(vote, column)
            votes.append(vote)
        elif not is_empty(vote):
            votes.append(text_of(vote, column))
    return votes


def parse_votes_cell(text: str) -> Any:
    """The list in a CSV cell, as JSON, Python or numpy write it; any other string is one vote.

    Raises:
        RowError: It begins like a list but is not one, or it is unclear where a vote ends.
    """
    text = text.strip()
    if not text:
        return None
    if not _LIST_START.match(text):
        return [text]
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        pass
    try:
        return ast.literal_eval(_NumpyToPython().visit(ast.parse(_VALUE.sub(_add_comma, text), mode="eval")))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise RowError(problem_kinds.BAD_ROW, "answers: the list cannot be read", "answers") from None


def is_empty(value: Any) -> bool:
    """Whether a cell is empty: null, a missing column, or the NaN that pandas writes."""
    return value is None or value is UNSET or (isinstance(value, float | Decimal) and math.isnan(value))


def most_common(votes: list[str]) -> tuple[str, int]:
    """The most common vote, in its most common spelling, and its number of votes.

    Spellings that the official accuracy treats as equal (`normalise`) are counted together. A tie goes to the first.
    Empty votes do not count.
    """
    filled = [vote.strip() for vote in votes if vote.strip()]
    if not filled:
        return "", 0
    forms = [normalise(vote) for vote in filled]
    form, count = Counter(forms).most_common(1)[0]
    spellings = Counter(vote for vote, its_form in zip(filled, forms, strict=True) if its_form == form)
    return spellings.most_common(1)[0][0], count


def _answer(cells: Cells) -> tuple[str, list[str], int | None]:
    """The answer, all votes, and the number of votes for the answer; see `CheckedRow`."""
    answer, column = cells.answer, "answer"
    votes = votes_of(cells.answers)
    if isinstance(answer, (list, dict)):  # votes in the column of the answer
        votes, answer = votes or votes_of(answer, "answer"), None
    if is_empty(answer) or answer == "":
        answer, column = cells.multiple_choice_answer, "multiple_choice_answer"
    if is_empty(answer) or answer == "":
        winner, count = most_common(votes)
        return winner, votes, count
    text = text_of(answer, column)
    return text, votes, votes.count(text) if votes else None


def _add_comma(value: re.Match[str]) -> str:
    """Adds a comma where only a space separates two values: Python would join two strings into one."""
    text, gap, following = value.groups()
    if gap and following:
        return f"{text},{gap}"
    if following and text[-1] in _QUOTES and following in _QUOTES:
        raise ValueError("two strings side by side")
    return value[0]


class _NumpyToPython(ast.NodeTransformer):
    """Turns what numpy writes into plain Python: `array([...], dtype=object)`, `np.str_('red')` and `nan`."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in _NUMPY_NAMES or not node.args:
            raise ValueError(f"a call of {name}")
        return self.visit(node.args[0])  # type: ignore[no-any-return]

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(None) if node.id == "nan" else node

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        return self.generic_visit(ast.List(node.elts, ast.Load()))

    def visit_Set(self, node: ast.Set) -> ast.AST:
        return self.generic_visit(ast.List(node.elts, ast.Load()))


def _number_text(value: float | Decimal, column: str) -> str:
    try:
        return str(value)
    except ValueError:  # Python writes whole numbers of up to 4,300 digits.
        raise RowError(problem_kinds.BAD_ROW, f"{column}: a number of thousands of digits", column) from None


def _refuse_surrogates(text: str, column: str) -> None:
    """Refuses a lone surrogate: it cannot be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RowError(problem_kinds.BAD_ROW, f"{column}: not UTF-8 text", column) from None


def _unexpected(expected: str, value: Any, column: str) -> RowError:
    name = _TYPE_NAMES.get(type(value), type(value).__name__)
    return RowError(problem_kinds.BAD_ROW, f"{column}: expected `{expected}`, got `{name}`", column)
