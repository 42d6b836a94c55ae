"""The grammar of filters: what is written is what is read, each operator means what Python means, nothing breaks it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.errors import LooptopError
from looptop.engine.filters.expressions import OPERATORS, Comparison, Expression, Group, Match, Term, evaluate, terms
from looptop.engine.filters.grammar import MAX_DEPTH, parse
from looptop.engine.filters.vocabulary import NumberField, TextField, Vocabulary, Word

Animal: TypeAlias = Mapping[str, object]


def number(name: Word, _quantifier: str) -> NumberField[Animal]:
    if not name.text:
        raise name.unexpected("a name")
    return NumberField(lambda animal: animal.get(name.text))


VOCABULARY: Vocabulary[Animal] = Vocabulary(
    number,
    text_fields={
        "kind": TextField(lambda animal: str(animal["kind"]), whole=True),
        "name": TextField(lambda a: str(a["name"])),
    },
    searched_texts=lambda animal: (str(animal["kind"]), str(animal["name"])),
    quantifiers=("any", "all"),
    flags={"winged": lambda animal: animal["kind"] == "bird"},
)
OWL: Animal = {"kind": "bird", "name": "Snowy Owl (and friends)", "legs": 2.0, "age": math.nan}


def read(text: str) -> Expression:
    return parse(text, VOCABULARY).expression


def written(expression: Expression, inside: bool = False) -> str:
    """An expression as a person would write it."""
    if isinstance(expression, Group):
        joined = (" " if expression.every else " or ").join(written(part, inside=True) for part in expression.parts)
        return f"({joined})" if inside else joined
    minus = "-" if expression.negated else ""
    if isinstance(expression, Comparison):
        quantifier = expression.quantifier and f"{expression.quantifier} "
        return f'{minus}{quantifier}"{expression.field}" {expression.operator} {expression.number!r}'
    values = ",".join(f'"{value}"' for value in expression.values)
    return f"{minus}{expression.field}{expression.field and ':'}{values}"


TEXTS = st.text(st.characters(exclude_characters='"', exclude_categories=("Cs",)), min_size=1, max_size=8)  # type: ignore[arg-type]
LOWER = TEXTS.map(str.lower).filter(lambda text: text == text.lower())
FLOATS = st.floats(allow_nan=False)
TERMS: st.SearchStrategy[Term] = st.one_of(
    st.builds(Match, st.just(""), st.tuples(LOWER), st.booleans()),
    st.builds(
        Match, st.sampled_from(["kind", "name"]), st.lists(LOWER, min_size=1, max_size=3).map(tuple), st.booleans()
    ),
    st.builds(Comparison, TEXTS, st.sampled_from(list(OPERATORS)), FLOATS, st.sampled_from(["", "all"]), st.booleans()),
)


def groups(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.builds(Group, st.lists(parts, min_size=2, max_size=3).map(tuple), st.booleans())


EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(TERMS, groups, max_leaves=8)


@given(EXPRESSIONS)
def test_what_is_written_is_what_is_read(expression: Expression) -> None:
    assert read(written(expression)) == expression


@given(EXPRESSIONS)
def test_not_before_parentheses_means_the_contrary(expression: Expression) -> None:
    contrary = read(f"not ({written(expression)})")
    assert read(f"NOT not({written(expression)})") == expression
    for truth in (lambda term: len(term.field) % 2 == 0, lambda term: isinstance(term, Match)):
        assert evaluate(contrary, truth) is not evaluate(expression, truth)
    known_to_none = [evaluate(each, lambda _term: None) for each in (expression, contrary)]
    assert known_to_none == [None, None]


@given(st.sampled_from(["<", "<=", ">", ">=", "=", "==", "!="]), FLOATS, st.floats(), st.sampled_from(["", " ", "\t "]))
def test_each_operator_means_what_it_means_in_python(sign: str, number: float, value: float, gap: str) -> None:
    wanted = {
        "<": value < number, "<=": value <= number, ">": value > number, ">=": value >= number,
        "=": value == number, "==": value == number, "!=": value != number,
    }[sign]  # fmt: skip
    assert parse(f"legs{gap}{sign}{gap}{number!r}", VOCABULARY).holds({"legs": value}) is wanted


@given(st.lists(st.booleans(), min_size=3, max_size=3), st.permutations(["and", "or", "and"]))
def test_and_binds_closer_than_or(values: list[bool], words: list[str]) -> None:
    names = ["one", "two", "three"]
    row = {name: float(value) for name, value in zip(names, values, strict=True)}
    text = f"one {words[0]} two {words[1]} three"
    filter_text = text.replace("one", "one=1").replace("two", "two=1").replace("three", "three=1")
    assert parse(filter_text, VOCABULARY).holds(row) is bool(eval(text, {}, dict(zip(names, values, strict=True))))
    assert read(filter_text.replace(" and ", " ")) == read(filter_text)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "-", '""', '-""', "owl", "OWL bird", "fish or owl", "not fish", "-fish", "legs=2",
        "legs=2 and not legs>2",
        "not (fish or legs>2)", "(fish) or (legs = 2)", '"(and friends)"', '"and" friends', "(owl -)", "age=nan",
        "age!=2",
        "kind:bird", "-kind:bir", "kind:fish,BIRD", "name:owl",
        'name:"y owl","x y"', "not not owl", "-(fish or kind:cat)",
        "legs!=inf",
        "fish or (bird and (cat or owl))", "Legs<2 or owl", "-wings>0", "not wings!=0",
    ],
)  # fmt: skip
def test_what_holds(text: str) -> None:
    assert parse(text, VOCABULARY).holds(OWL)


@pytest.mark.parametrize(
    "text",
    [
        "fish", "owl fish", "not owl", "not (owl or fish)", "-(owl)", '"snowy  owl"', "age<2", "age>2", "age=2",
        "wings!=0", "kind:bir", "name:fish,dog", "owl and (fish or cat)", '"not" owl', "fish or cat",
    ],
)  # fmt: skip
def test_what_does_not_hold(text: str) -> None:
    assert not parse(text, VOCABULARY).holds(OWL)


@pytest.mark.parametrize("word", ["and", "or", "not"])
def test_a_keyword_before_an_operator_is_a_name(word: str) -> None:
    assert [term.field for term in terms(read(f"{word} > 1 {word}<=2 and {word}!=3 or {word} =4"))] == [word] * 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("owl or", "'owl or' ends too early; expected a word or a comparison, such as loss<0.5"),
        ("(owl", "'(owl' ends too early; expected ')'"),
        ("owl ) fish", "'owl ) fish' has ')' at column 5; expected 'and', 'or' or the end"),
        ("()", "has ')' at column 2; expected a word or a comparison"),
        ("owl and or fish", "'owl and or fish' has 'or' at column 9"),
        ("legs > (3)", "has '(' at column 8; expected a number"),
        ('legs > "3"', "has '\"3\"' at column 8; expected a number"),
        ("knd:bird", "there is no key 'knd:'; did you mean 'kind'?"),
        ("size:3", "there is no key 'size:'; there are: kind, name"),
        ("kind: bird", "has ' ' at column 6; expected a value right after the colon, such as kind:word"),
        ('owl "fish', 'the quote at column 5 is not closed; add a "'),
        ("legs < \x1b[2J", "has '␛[2J' at column 8"),
        ("(" * 100_000, "nested more than 50 deep"),
        ("not(" * 100_000, "nested more than 50 deep"),
        ("-(" * 100_000, "nested more than 50 deep"),
    ],
)
def test_what_is_wrong_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(LooptopError) as caught:
        read(text)
    assert message in str(caught.value) and len(str(caught.value)) < 300 and "\x1b" not in str(caught.value)


PIECES = st.sampled_from(
    ['"', "(", ")", "-", "not ", "and ", "or ", "<", "=", "!", ":", ",", " ", "kind:", "legs", "1", "\n"]
)


@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=30).map("".join)))
def test_any_text_is_a_filter_or_one_sentence(text: str) -> None:
    try:
        assert parse(text, VOCABULARY).holds(OWL) in (True, False)
    except LooptopError as error:
        assert "\n" not in str(error) and len(str(error)) < 300


@pytest.mark.parametrize(
    "text",
    [
        "not " * 20_000 + "owl", "(" * MAX_DEPTH + "owl" + ")" * MAX_DEPTH, "-" * 20_000, "owl " * 20_000, '"' * 20_000,
        "1" * 20_000 + "x", "a:" * 20_000, "!" * 20_000, "kind:" + "," * 19_999 + "x", " " * 20_000,
        "kind:" + "b," * 19_999,
        "or or " * 10_000 + "> 1", "legs" + "=" * 20_000, "()" * 10_000, "legs>" + "9" * 20_000,
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_a_text_of_any_length_is_read_or_refused(text: str) -> None:
    try:
        parse(text, VOCABULARY).holds(OWL)
    except LooptopError as error:
        assert len(str(error)) < 400


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("winged", True),
        ("Winged owl", True),
        ("-winged", False),
        ("not winged or snowy", True),
        ("winged cat", False),
        ('"winged"', False),
        ("winged<3", False),
    ],
)
def test_a_flag_is_a_property_and_in_quotes_a_word(text: str, holds: bool) -> None:
    assert parse(text, VOCABULARY).holds(OWL) is holds
