"""The cells of one question's row, checked in one way for every source: tables, VQA v2, VizWiz and prepared data sets.

Programs write the same row in many ways: pandas writes null for an empty cell and 7.0 for the id 7, VizWiz writes votes
as objects, others write them as text or numbers. What is only written otherwise is read; what is wrong has its reason.
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
from looptop.engine.vqa.data import problems as kinds
from looptop.engine.vqa.data.normalise import normalise

ANSWER_COLUMNS = ("answer", "multiple_choice_answer", "answers")
"""Any one of them gives the answer."""

_TYPE_NAMES = {type(None): "null", list: "array", dict: "object"}
_WHOLE = 1e15
"""Numbers below are written exactly by a float, so that 7.0 is the id 7."""

_LIST = re.compile(r"\[|[({]\s*['\"]|(?:np\.|numpy\.)?array\(")
"""How the text of a list, a tuple, a set or an array begins."""
_VALUE = re.compile(
    r"""('(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?|[\w.+-]+|[\])}])  # a text, a number or name, or the end of a list
    (\s*)(?=(['"\w.+\-\[({])?)""",
    re.DOTALL | re.VERBOSE,
)
"""One value in such a text, the space behind it, and how the next one begins where nothing else parts the two."""
_QUOTES = "'\""
_NUMPY = {"array", "str_", "int32", "int64", "float32", "float64", "bool_", "True_", "False_"}


class Cells(Struct, gc=False):
    """One row as it came: any value may stand anywhere. Other columns are not read."""

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
    """What a good row holds; an empty text is a cell that was left empty."""

    question: str
    image_id: str
    question_id: str
    answer: str
    """The answer that is taught: the one given, else the most common vote."""
    answers: list[str]
    """The votes as they came; the answer where there are none."""
    agreeing: int | None
    """How many votes are for the answer; None where there are no votes."""
    question_type: str
    answer_type: str


class RowError(LooptopError):
    """Why a row is left out.

    Attributes:
        kind: One of `problems`' kinds.
        column: The column that is at fault, or empty.
    """

    def __init__(self, kind: str, detail: str = "", column: str = "") -> None:
        super().__init__(detail)
        self.kind = kind
        self.column = column


def check_row(cells: Cells) -> CheckedRow:
    """The row, each value as text.

    Raises:
        RowError: The question or the answer is missing or empty, or a cell holds what cannot be read.
    """
    if cells.question is UNSET:
        raise RowError(kinds.BAD_ROW, "missing required field `question`", "question")
    if not isinstance(cells.question, str) and not is_empty(cells.question):
        raise _unexpected("str", cells.question, "question")
    question = text_of(cells.question, "question")
    if not question:
        raise RowError(kinds.EMPTY_QUESTION, column="question")
    answer, votes, agreeing = _answer(cells)
    if not answer:
        raise RowError(kinds.EMPTY_ANSWER, column="answer")
    return CheckedRow(
        question=question,
        image_id=id_of(cells.image_id, "image_id"),
        question_id=id_of(cells.question_id, "question_id"),
        answer=answer,
        answers=votes or [answer],
        agreeing=agreeing,
        question_type=text_of(cells.question_type, "question_type"),
        answer_type=text_of(cells.answer_type, "answer_type"),
    )


def image_name(cells: Cells) -> str:
    """The file that a row names.

    Raises:
        RowError: It names none, or not with a text.
    """
    if cells.image is UNSET:
        raise RowError(kinds.BAD_ROW, "missing required field `image`", "image")
    if is_empty(cells.image):
        raise RowError(kinds.MISSING_IMAGE, "no image is named", "image")
    if not isinstance(cells.image, str):
        raise _unexpected("str", cells.image, "image")
    name = text_of(cells.image, "image")
    if not name:
        raise RowError(kinds.MISSING_IMAGE, "no image is named", "image")
    return name


def text_of(value: Any, column: str) -> str:
    """A cell as text: an empty one is empty, 3.0 is 3, true is yes.

    Raises:
        RowError: It is a list, an object or bytes.
    """
    if isinstance(value, str):
        if not value.isascii():
            _refuse_surrogates(value, column)
        return value.strip()
    if is_empty(value):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        return str(int(value))
    if isinstance(value, (int, float, Decimal)):
        return str(value)
    raise _unexpected("str", value, column)


def id_of(value: Any, column: str) -> str:
    """An id as text; 7, 7.0, "7" and "7.0" are the same one, and an empty cell is no id.

    Raises:
        RowError: It is neither a number nor text.
    """
    if type(value) is int:
        return str(value)
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
    """What people answered, from a list of texts, numbers or objects with an `answer`; an empty cell has none.

    A text is kept as it is, spaces too: the official accuracy counts an empty vote as one of the ten.

    Raises:
        RowError: It is no such list.
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
                raise RowError(kinds.BAD_ROW, f"{column}: a vote is an object without `answer`", column)
            vote = vote["answer"]
        if isinstance(vote, str):
            if not vote.isascii():
                _refuse_surrogates(vote, column)
            votes.append(vote)
        elif not is_empty(vote):
            votes.append(text_of(vote, column))
    return votes


def votes_in_text(text: str) -> Any:
    """The list that a CSV cell holds as JSON, Python or numpy writes it; a text that is no list is one vote.

    Raises:
        RowError: It begins as a list and is none, or it is not clear where one vote ends.
    """
    text = text.strip()
    if not text:
        return None
    if not _LIST.match(text):
        return [text]
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        pass
    try:
        return ast.literal_eval(_Plain().visit(ast.parse(_VALUE.sub(_with_comma, text), mode="eval")))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise RowError(kinds.BAD_ROW, "answers: the list cannot be read", "answers") from None


def is_empty(value: Any) -> bool:
    """Whether a cell holds nothing: null, a column that is not there, or the not-a-number that pandas writes."""
    return value is None or value is UNSET or (isinstance(value, float | Decimal) and math.isnan(value))


def most_common(votes: list[str]) -> tuple[str, int]:
    """The answer that most people gave, and how many did; spellings that the official accuracy takes for one count as
    one, and of equally many the first wins. Empty votes are nobody's answer.
    """
    spoken = [vote.strip() for vote in votes if vote.strip()]
    if not spoken:
        return "", 0
    forms = [normalise(vote) for vote in spoken]
    form, count = Counter(forms).most_common(1)[0]
    spelling = Counter(vote for vote, its_form in zip(spoken, forms, strict=True) if its_form == form)
    return spelling.most_common(1)[0][0], count


def _answer(cells: Cells) -> tuple[str, list[str], int | None]:
    """The answer, the votes, and how many are for it."""
    answer, column = cells.answer, "answer"
    votes = votes_of(cells.answers)
    if isinstance(answer, (list, dict)):  # votes under the answer's name
        votes, answer = votes or votes_of(answer, "answer"), None
    if is_empty(answer) or answer == "":
        answer, column = cells.multiple_choice_answer, "multiple_choice_answer"
    if is_empty(answer) or answer == "":
        chosen, agreeing = most_common(votes)
        return chosen, votes, agreeing
    given = text_of(answer, column)
    return given, votes, votes.count(given) if votes else None


def _with_comma(value: re.Match[str]) -> str:
    """A value of a list, with a comma where only a space parts it from the next: Python would join two texts to one."""
    text, gap, following = value.groups()
    if gap and following:
        return f"{text},{gap}"
    if following and text[-1] in _QUOTES and following in _QUOTES:
        raise ValueError("two texts side by side")
    return value[0]


class _Plain(ast.NodeTransformer):
    """A list as numpy writes it, as a plain one: `array([...], dtype=object)`, `np.str_('red')` and `nan`."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in _NUMPY or not node.args:
            raise ValueError(f"a call of {name}")
        return self.visit(node.args[0])  # type: ignore[no-any-return]

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(None) if node.id == "nan" else node

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        return self.generic_visit(ast.List(node.elts, ast.Load()))

    def visit_Set(self, node: ast.Set) -> ast.AST:
        return self.generic_visit(ast.List(node.elts, ast.Load()))


def _refuse_surrogates(text: str, column: str) -> None:
    """Half a character cannot be written to any file."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RowError(kinds.BAD_ROW, f"{column}: not UTF-8 text", column) from None


def _unexpected(expected: str, value: Any, column: str) -> RowError:
    name = _TYPE_NAMES.get(type(value), type(value).__name__)
    return RowError(kinds.BAD_ROW, f"{column}: expected `{expected}`, got `{name}`", column)
