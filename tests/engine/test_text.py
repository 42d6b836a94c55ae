"""Text from outside cannot act on a terminal."""

from __future__ import annotations

import ast
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.text import counted, join_text, visible, visible_answer, visible_lines


@given(st.text())
def test_nothing_that_acts_is_left(text: str) -> None:
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in visible(text))


@given(st.text())
def test_making_safe_twice_changes_nothing_more_and_keeps_the_length(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    assert len(visible(text)) == len(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_ordinary_text_of_any_language_is_left_alone(text: str) -> None:
    assert visible(text) == text


def test_an_escape_sequence_is_shown_and_lines_are_kept_where_asked_for() -> None:
    assert visible("\x1b]0;owned\x07") == "␛]0;owned␇"
    assert visible("a\u202eb") == "a\ufffdb"
    assert visible("one\n\ttwo") == "one␊␉two"
    assert visible("one\n\ttwo\x1b", keep_lines=True) == "one\n    two␛"


def test_every_control_character_has_its_picture() -> None:
    assert visible("\0 \x1f \x7f \x80") == "␀ ␟ ␡ \ufffd"
    assert visible(12) == "12"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\tb", "a\tb"), ("a\n\n\tb\x1b\t\n", "a\n\n\tb␛\t\n"), ("a\rb", "a␍b"), ("é\u2028", "é\ufffd")],
)
def test_lines_keep_their_line_feeds_and_tabs(text: str, shown: str) -> None:
    assert visible_lines(text) == shown


@pytest.mark.parametrize(("parts", "text"), [(["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")])
def test_a_list_is_joined_as_in_a_sentence(parts: list[str], text: str) -> None:
    assert join_text(parts, "or") == text


@pytest.mark.parametrize(("text", "shown"), [("", "(empty)"), (" \n", "(empty)"), ("red", "red"), ("\x1b", "␛")])
def test_an_empty_answer_is_named_empty(text: str, shown: str) -> None:
    assert visible_answer(text) == shown


@pytest.mark.parametrize(("number", "text"), [(0, "0 images"), (1, "1 image"), (2000, "2,000 images")])
def test_numbers_of_things(number: int, text: str) -> None:
    assert counted(number, "image") == text


def test_numbers_of_things_with_a_plural_of_their_own() -> None:
    assert [counted(number, "query", "queries") for number in (1, 2)] == ["1 query", "2 queries"]


def test_numbers_before_nouns_go_through_counted() -> None:
    """No f-string sets a number before a plural: neither `{len(rows)} questions` nor `{count:,} images`."""
    root = Path(__file__).parent.parent.parent
    bundle = root / "engine" / "bundle"  # Its texts are about constants.
    files = [file for room in ("engine", "tui") for file in (root / room).rglob("*.py") if bundle not in file.parents]
    texts = [
        (file.name, node.lineno, ast.unparse(node))
        for file in files
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.JoinedStr)
    ]
    number = r"\{(?!counted\()([^{}]*\blen\([^{}]*|[^{}]*[a-z][^{}]*:,)\}"
    assert [text for text in texts if re.search(number + r" ([a-z-]+ )?[a-z]{3,}s\b", text[2])] == []
