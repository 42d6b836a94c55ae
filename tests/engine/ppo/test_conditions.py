"""Conditions for breakpoints: a small grammar, clear errors, and never anything but a comparison."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from looptop.engine.errors import LooptopError
from looptop.engine.ppo.conditions import ALIASES, parse
from looptop.engine.ppo.judging import when_it_holds

SAMPLES = {"kl": [1.0, 30.0, -2.0], "reward": [0.5, -1.0, 2.0], "recall": [1.0, 0.5, 1.0]}
METRICS = {"ppo/policy/clipfrac": 0.4, "ppo/val/explained_centred": -0.5, "objective/kl": 9.7}


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("kl > 8", "kl is 9.667 (> 8)"),
        ("kl.mean>8", "kl.mean is 9.667 (> 8)"),
        ("kl.max >= 30", "kl.max is 30 (>= 30)"),
        ("kl.min < -3", ""),
        ("reward.std > 1.4", "reward.std is 1.5 (> 1.4)"),
        ("any sample.kl > 20", "kl of sample 1 is 30 (> 20)"),
        ("all sample.reward > -2", "reward of every sample is 0.5 (> -2)"),
        ("all sample.reward > 0", ""),
        ("clipfrac > 0.3 and explained_variance < 0", "clipfrac is 0.4 (> 0.3), explained_variance is -0.5 (< 0)"),
        ("clipfrac > 0.3 and kl > 100", ""),
        ("objective/kl > 9", "objective/kl is 9.7 (> 9)"),
        ("value_loss > 0", ""),
        ("nan", ""),
        ("  kl   >  8e0 ", "kl is 9.667 (> 8)"),
        ("recall != 1", "recall is 0.8333 (!= 1)"),
    ],
)
def test_what_is_met_is_said(text: str, met: str) -> None:
    assert parse(text).met(METRICS, SAMPLES) == met
    assert parse(text).text == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "ends where a figure such as kl, or nan is missing"),
        ("kl", "ends where one of < <= > >= == != is missing"),
        ("kl >", "ends where a number is missing"),
        ("kl > much", "has 'much' at column 6; wanted is a number"),
        ("kl ! 8", "has '!' at column 4; wanted is one of <"),
        ("kl > 8 or 3", "has 'or' at column 8; wanted is 'and' or the end"),
        ("any kl > 8", "has 'kl' at column 5; wanted is sample.FIGURE"),
        ("sample.kl > 8", "has 'sample.kl' at column 1; wanted is `any` or `all` before it"),
        ("kl.median > 8", "has 'kl.median' at column 1; wanted is a figure with .mean, .std, .min, .max"),
        ("__import__('os') > 1", "has '(' at column 11; wanted is one of"),
        ("klx > 8", "there is no figure 'klx'; did you mean 'kl'?"),
        ("8 > kl", "has '8' at column 1; wanted is a figure"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(LooptopError) as caught:
        parse(text, known=["grammar"])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("kl > 8", False),
        ("reward.mean < 0 and any sample.kl > 20", False),
        ("grammar.min < 0", False),
        ("length > 3 and entropy < 1", False),
        ("nan", False),
        *((f"{name} > 0", True) for name in ALIASES if name != "distinct"),
        ("distinct < 0.5", False),
        ("any sample.ratio > 3", True),
        ("advantage.max > 3", True),
        ("kl > 8 and policy_loss > -1", True),
        ("ppo/policy/entropy > 0", True),
        ("env/reward_mean > 0", True),
    ],
)
def test_what_is_known_only_after_an_update_waits_for_it(text: str, after: bool) -> None:
    assert parse(text).waits_for_update(["grammar", "distinct"]) is after
    answer = when_it_holds(parse(text), ["grammar", "distinct"])
    assert ("after the update of a batch" in answer) is after and text in answer


@given(some.text(max_size=40))
def test_any_text_is_a_condition_or_one_sentence(text: str) -> None:
    try:
        condition = parse(text, known=[])
    except LooptopError as error:
        assert "\n" not in str(error)
    else:
        assert parse(condition.text, known=[]).clauses == condition.clauses


def test_what_is_no_number_is_found_and_a_deviation_of_one_sample_is_not() -> None:
    nan = parse("nan")
    assert nan.met({"ppo/loss/policy": math.nan}, {}) == "ppo/loss/policy is nan"
    assert nan.met({"objective/kl": math.inf}, {}) == "objective/kl is inf"
    assert nan.met({}, {"kl": [0.0, math.nan]}) == "kl of sample 1 is nan"
    assert nan.met({"ppo/std_scores": math.nan, "ppo/val/var_explained": -math.inf}, {"kl": [0.0]}) == ""
