"""Conditions for breakpoints: a small grammar, clear errors, and never anything but a comparison."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from looptop.engine.errors import LooptopError
from looptop.engine.filters.expressions import Comparison, Match, terms
from looptop.engine.ppo.breakpoint_conditions import ALIASES, parse
from looptop.engine.ppo.breakpoints import when_it_holds

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
        ("kl > 100 or reward.max >= 2", "reward.max is 2 (>= 2)"),
        ("kl > 8 reward.max = 2", "kl is 9.667 (> 8), reward.max is 2 (== 2)"),
        ("kl > 8 and (reward.max > 9 or recall < 1)", "kl is 9.667 (> 8), recall is 0.8333 (< 1)"),
        ("not kl > 100", "kl is 9.667 (not > 100)"),
        ("not (kl > 8 and recall < 1)", ""),
        ("not any sample.kl > 40", "kl of every sample is 1 (not > 40)"),
        ("not all sample.reward > 0", "reward of sample 1 is -1 (not > 0)"),
        ("not nan", "every figure is a number"),
        ("not value_loss > 0", ""),
        ("value_loss > 0 or kl > 8", "kl is 9.667 (> 8)"),
        ("not (value_loss > 0 and kl > 8)", ""),
        ("kl > 8 and kl > 8", "kl is 9.667 (> 8)"),
    ],
)
def test_what_is_met_is_named(text: str, met: str) -> None:
    assert parse(text).met(METRICS, SAMPLES) == met
    assert parse(text).text == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "ends too early; expected a figure such as kl, or nan"),
        ("kl", "ends too early; expected one of < <= > >= == !="),
        ("kl >", "ends too early; expected a number"),
        ("kl > much", "has 'much' at column 6; expected a number"),
        ("kl ! 8", "has '!' at column 4; expected one of <"),
        ("kl > 8 or 3", "ends too early; expected one of < <= > >= == !="),
        ("kl > 8 or 3 > kl", "has '3' at column 11; expected a figure"),
        ("kl > 8 ) 3", "has ')' at column 8; expected 'and', 'or' or the end"),
        ("kl > 8 and", "ends too early; expected a figure such as kl, or nan"),
        ("kl > 8 council", "ends too early; expected one of < <= > >= == !="),
        ("-kl > 8", "has '-kl' at column 1; expected a figure"),
        ("nan > 8", "has '>' at column 5; expected"),
        ("any", "ends too early; expected a figure such as kl, or nan"),
        ('kl > "8', "the quote at column 6 is not closed"),
        ("any kl > 8", "has 'kl' at column 5; expected sample.FIGURE"),
        ("sample.kl > 8", "has 'sample.kl' at column 1; expected `any` or `all` before it"),
        ("kl.median > 8", "has 'kl.median' at column 1; expected a figure with .mean, .std, .min, .max"),
        ("__import__('os') > 1", "has '(' at column 11; expected one of"),
        ("klx > 8", "there is no figure 'klx'; did you mean 'kl'?"),
        ("8 > kl", "has '8' at column 1; expected a figure"),
    ],
)
def test_what_is_wrong_is_reported_with_its_position(text: str, sentence: str) -> None:
    with pytest.raises(LooptopError) as caught:
        parse(text, known=["grammar"])
    assert sentence in str(caught.value)


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
        ("kl > 8 or policy_loss > -1", False),
        ("not (kl > 8 and policy_loss > -1)", False),
        ("not (kl > 8 or policy_loss > -1)", True),
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
        assert parse(condition.text, known=[]).filter.expression == condition.filter.expression


NAMES = some.from_regex(r"[A-Za-z_][A-Za-z0-9_/]{0,6}", fullmatch=True).filter(lambda n: n not in ("nan", "any", "all"))
OLD_TERMS = some.one_of(
    some.just(("nan", None)),
    some.builds(
        lambda name, end, sign, number, gap: (
            f"{name}{end}{gap}{sign}{gap}{number!r}",
            (f"{name}{end}", sign, number, ""),
        ),
        NAMES,
        some.sampled_from(["", ".mean", ".std", ".min", ".max"]),
        some.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
        some.floats(allow_nan=False, allow_infinity=False),
        some.sampled_from(["", " "]),
    ),
    some.builds(
        lambda which, name, number: (f"{which} sample.{name} > {number}", (f"sample.{name}", ">", number, which)),
        some.sampled_from(["any", "all"]),
        NAMES,
        some.integers(-9, 9),
    ),
)


@given(some.lists(OLD_TERMS, min_size=1, max_size=4))
def test_a_condition_that_an_older_run_holds_means_what_it_meant(
    pairs: list[tuple[str, tuple[object, ...] | None]],
) -> None:
    read = terms(parse(" and ".join(text for text, _ in pairs)).filter.expression)
    wanted = [Match("", ("nan",)) if what is None else Comparison(*what) for _, what in pairs]  # type: ignore[arg-type]
    assert read == wanted


def test_what_only_older_figures_meet_does_not_hold_a_batch_twice() -> None:
    condition = parse("kl > 8 or value_loss > 1")
    assert condition.met({}, SAMPLES) == "kl is 9.667 (> 8)"
    assert condition.met({"ppo/loss/value": 0.0}, SAMPLES, None, list(SAMPLES)) == ""
    condition = parse("kl > 8 and value_loss > 1")
    assert condition.met({}, SAMPLES) == ""
    assert condition.met({"ppo/loss/value": 2.0}, SAMPLES, None, list(SAMPLES)) == (
        "kl is 9.667 (> 8), value_loss is 2 (> 1)"
    )


def test_when_a_condition_holds_is_told_for_each_kind() -> None:
    for text, when in (
        ("kl > 8", "holds the run before an update when kl > 8"),
        ("kl > 8 or nan", "holds the run before an update, or after it, when"),
        ("kl > 8 or policy_loss > 3", "holds the run before an update, or after it, when"),
        ("policy_loss > 3", "holds the run after the update of a batch when"),
    ):
        assert when_it_holds(parse(text), []).startswith(when)


def test_what_is_no_number_is_named_but_not_a_deviation_of_one_sample() -> None:
    nan = parse("nan")
    assert nan.met({"ppo/loss/policy": math.nan}, {}) == "ppo/loss/policy is nan"
    assert nan.met({"objective/kl": math.inf}, {}) == "objective/kl is inf"
    assert nan.met({}, {"kl": [0.0, math.nan]}) == "kl of sample 1 is nan"
    assert nan.met({"ppo/std_scores": math.nan, "ppo/val/var_explained": -math.inf}, {"kl": [0.0]}) == ""
