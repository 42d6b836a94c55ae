from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from looptop.engine.errors import LooptopError
from looptop.engine.ppo.sample_filter import SampleView, parse

KNOWN = ("reward", "kl", "length", "grammar")
NUMBERS = some.floats(-1e6, 1e6, allow_nan=False)


def keeps(
    text: str, query: str = "The council of Oslo", response: str = "a tram line", **figures: float | None
) -> bool:
    return parse(text, KNOWN).holds(SampleView(figures, (query, response)))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", True),
        ("   ", True),
        ("reward<0 kl>5", True),
        ("reward < 0 kl >= 6", True),
        ("reward<0 kl>6", False),
        ('reward<0 kl>5 "council"', True),
        ('"the council OF"', True),
        ('"tram  line"', False),
        ("council tram", True),
        ("council bus", False),
        ("-bus", True),
        ("-tram", False),
        ('-"a tram"', False),
        ('"tram li', True),
        ("length=4", True),
        ("length==4 length!=5", True),
        ("reward<-1e1", False),
        ("grammar>0", False),
        ("-", True),
        ('-"', True),
        ("bus or tram", True),
        ("bus or -tram", False),
        ("not bus and (kl>9 or oslo)", True),
        ("council not (tram or bus)", False),
        ('"and"', False),
        ('<kl or "<pad>" or https://x or oslo', True),
        ("grammar=nan reward!=nan", True),
    ],
)
def test_terms_must_all_hold(text: str, kept: bool) -> None:
    assert keeps(text, reward=-2.5, kl=6.0, length=4.0, grammar=None) is kept


def test_what_is_not_known_meets_no_comparison() -> None:
    assert not keeps("kl>5", kl=math.nan) and not keeps("kl<=5", kl=math.nan) and not keeps("kl<5")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rewrd<0", "did you mean 'reward'"),
        ("colour<0", "there are: reward, kl, length, grammar"),
        ("reward<", "'reward<' ends too early; expected a number"),
        ("reward<much", "has 'much' at column 8; expected a number"),
        ('kl>"5"', "has '\"5\"' at column 4; expected a number"),
        ("bus or (tram", "ends too early; expected '\\)'"),
    ],
)
def test_what_is_wrong_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(LooptopError, match=sentence):
        parse(text, KNOWN)


@given(some.sampled_from(KNOWN), some.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS, NUMBERS)
def test_a_comparison_means_what_python_means(figure: str, comparison: str, number: float, value: float) -> None:
    wanted = {
        "<": value < number, "<=": value <= number, ">": value > number, ">=": value >= number,
        "==": value == number, "!=": value != number,
    }[comparison]  # fmt: skip
    assert parse(f"{figure}{comparison}{number!r}", KNOWN).holds(SampleView({figure: value})) is wanted


@given(some.text())
def test_any_text_is_a_filter_or_one_sentence(text: str) -> None:
    try:
        chosen = parse(text, KNOWN)
    except LooptopError as error:
        assert "\n" not in str(error)
    else:
        assert chosen.holds(SampleView({"reward": 1.0}, (text, ""))) in (True, False)
