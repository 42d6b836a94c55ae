"""Reward models from preferences: pairs as given, or made of ratings; trained with TRL's trainer; used by PPO."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

import looptop.engine as looptop
from looptop.engine import config as configuration
from looptop.engine.config.reward import PreferenceConfig
from looptop.engine.errors import LooptopError
from looptop.engine.journal.records import RunState
from looptop.engine.ppo.judgements import record_judgement
from looptop.engine.ppo.preferences import MAX_PAIRS_PER_RATING, Pair, Rating, load_pairs, pairs_of
from looptop.engine.ppo.rewards import Classifier
from looptop.engine.startup.run import resume
from tests.factories.ppo import ppo_config, reward_config, save_decoder_classifier, save_rows
from tests.support import hold_at, last

RATINGS = some.lists(
    some.builds(Rating, some.sampled_from("abc"), some.sampled_from("rstuvw"), some.integers(-2, 2).map(float)),
    max_size=14,
)


@given(RATINGS)
def test_ratings_become_all_pairs_within_a_query_and_ties_none(ratings: list[Rating]) -> None:
    made = pairs_of(ratings, across=False)
    wanted = [
        Pair(one.query, one.response, two.response)
        for one in ratings
        for two in ratings
        if one.query == two.query and one.rating > two.rating and one.response != two.response
    ]
    key = lambda pair: (pair.query, pair.chosen, pair.rejected)  # noqa: E731
    assert sorted(made, key=key) == sorted(wanted, key=key)


@given(RATINGS, some.integers(0, 3))
def test_where_queries_do_not_matter_each_rating_is_the_better_side_of_a_few(ratings: list[Rating], seed: int) -> None:
    made = pairs_of(ratings, across=True, seed=seed)
    assert made == pairs_of(ratings, across=True, seed=seed)
    assert len(made) <= MAX_PAIRS_PER_RATING * len(ratings)
    of = {(each.response, each.rating) for each in ratings}
    for pair in made:
        better = [rating for response, rating in of if response == pair.chosen]
        worse = [rating for response, rating in of if response == pair.rejected]
        assert max(better) > min(worse)


def preferences(**options: object) -> PreferenceConfig:
    return PreferenceConfig(**options)  # type: ignore[arg-type]


def test_a_query_is_on_one_side_only_and_bad_pairs_are_left_out(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"query": f"q{n}", "chosen": f"good {n} {side}", "rejected": "bad"} for n in range(10) for side in (1, 2)
    ]
    rows += [{"query": "q0", "chosen": "", "rejected": "x"}, {"query": "q0", "chosen": "x", "rejected": "x"}]
    source = save_rows(tmp_path / "pairs.jsonl", rows)
    train, held_out = load_pairs(preferences(source=source, validation_fraction=0.3), "both", 1)
    assert len(train) == 14 and len(held_out) == 6
    assert not {pair.query for pair in train} & {pair.query for pair in held_out}
    few, _ = load_pairs(preferences(source=source, max_pairs=3), "both", 1)
    assert len(few) == 3


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("start", ["", "q"])
def test_ratings_of_queries_that_are_numbers_are_paired_within_a_query(tmp_path: Path, ending: str, start: str) -> None:
    rows: list[dict[str, object]] = [
        {"query": f"{start}{n}" if start else n, "response": f"{word} {n}", "rating": rating}
        for n in range(8)
        for word, rating in (("good", 2), ("bad", n % 2))
    ]
    path = tmp_path / f"ratings.{ending}"
    if ending == "csv":
        cells = [",".join(map(str, row.values())) for row in rows]
        path.write_text("\n".join(["query,response,rating", *cells]))
    else:
        save_rows(path, rows)
    train, held_out = load_pairs(preferences(source=str(path)), "both", 1)
    made = {(pair.query, pair.chosen, pair.rejected) for pair in [*train, *held_out]}
    assert made == {(f"{start}{n}", f"good {n}", f"bad {n}") for n in range(8)}


@pytest.mark.parametrize(
    ("better", "worse", "why"),
    [
        (1, 2.5, ""),
        ([{"role": "user", "content": "a"}], [], "a list, an object or a truth value instead of a text"),
        (True, False, "a list, an object or a truth value instead of a text"),
        (None, "b", "empty or of two equal responses"),
        (float("nan"), "b", "empty or of two equal responses"),
    ],
)
def test_numbers_are_texts_and_what_is_no_text_is_left_out_for_the_true_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, better: object, worse: object, why: str
) -> None:
    rows: list[dict[str, object]] = [
        *({"query": n, "chosen": "good", "rejected": "bad"} for n in range(2)),
        *({"query": n, "chosen": better, "rejected": worse} for n in range(2)),
    ]
    train, held_out = load_pairs(preferences(source=save_rows(tmp_path / "x.jsonl", rows)), "both", 1)
    assert {pair.query for pair in [*train, *held_out]} == {"0", "1"}
    if why:
        assert len(train) == len(held_out) == 1 and f"left out: 2 pairs ({why})" in caplog.text
    else:
        assert Pair(train[0].query, "1", "2.5") in train and not caplog.text


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"text": "a"}], "has the columns text; preferences need chosen and rejected"),
        ([{"query": "q", "response": "r", "rating": 1}] * 3, "with two responses that were rated differently"),
        ([{"chosen": "a", "rejected": "b"}], "makes 0 pairs to train on and 1 to validate on"),
    ],
)
def test_data_that_makes_no_pairs_is_refused_in_a_sentence(
    tmp_path: Path, rows: list[dict[str, object]], sentence: str
) -> None:
    with pytest.raises(LooptopError) as caught:
        load_pairs(preferences(source=save_rows(tmp_path / "x.jsonl", rows)), "both", 1)
    assert sentence in str(caught.value)


def test_a_reward_model_learns_stops_resumes_and_is_one(tmp_path: Path) -> None:
    chosen = reward_config(tmp_path)
    undisturbed = looptop.start(chosen)
    assert undisturbed.wait() is RunState.FINISHED, undisturbed.reason
    expected = {point.step: point.value for point in undisturbed.journal.values("loss")}
    assert list(expected) == list(range(1, 41))
    accuracy = [point.value for point in undisturbed.journal.values("eval_accuracy")]
    assert undisturbed.result()["accuracy"] >= 0.95 > accuracy[0]  # type: ignore[operator]
    losses = {point.step: point.value for point in undisturbed.journal.values("eval_loss")}
    best = undisturbed.result()["step"]
    assert undisturbed.result()["loss"] == losses[best] != losses[40], (
        "the last point is the last step's, not the best's"
    )

    run = looptop.start(chosen)
    hold_at(run, 12)
    run.stop()
    assert run.wait() is RunState.STOPPED
    again = resume(run.id)
    assert again.wait() is RunState.FINISHED, again.reason
    for point in again.journal.values("loss"):
        assert math.isclose(point.value, expected[point.step], abs_tol=1e-6), point.step  # type: ignore[arg-type]

    from looptop.engine.config.ppo import RewardConfig

    part = RewardConfig(name="preferred", model=again.id, label="LABEL_0")
    better, worse = Classifier.load(part, "cpu")(["q", "q"], ["tram in Oslo", "council in Oslo"])
    assert better > worse
    assert "of 11 held-out pairs" in (again.folder.model / "README.md").read_text()


def test_what_a_person_rated_becomes_a_reward_model(tmp_path: Path) -> None:
    ppo = looptop.start(ppo_config(tmp_path, "max_steps=3", "eval_steps=3"))
    assert ppo.wait() is RunState.FINISHED, ppo.reason
    settings = (f"data.source={ppo.id}", "max_steps=3", "validation_fraction=0.3")
    empty = looptop.start(reward_config(tmp_path / "a", *settings))
    assert empty.wait() is RunState.FAILED
    assert f"nothing was rated in {ppo.id}; rate samples" in empty.reason
    for step in (1, 2, 3):
        for row in range(8):
            record_judgement(ppo.folder, step, row, "rating", float(row % 2), "test")
    run = looptop.start(reward_config(tmp_path / "b", *settings))
    assert run.wait() is RunState.FINISHED, run.reason
    assert run.journal.facts()["n_train"] > 10


def test_a_decoder_whose_tokenizer_adds_nothing_becomes_a_reward_model(tmp_path: Path) -> None:
    """A text of characters that it does not know is no id to it, as an empty one."""
    words = [f"the {thing} in {city}" for thing in ("council", "school", "tram") for city in ("Oslo", "Rome")]
    rows = [{"prompt": f"q{n}", "chosen": text, "rejected": "\u200b"} for n, text in enumerate(words * 4)]
    classifier = save_decoder_classifier(tmp_path / "scorer")
    file = tmp_path / "scorer" / "tokenizer.json"
    told = json.loads(file.read_text())
    told["normalizer"] = {"type": "Replace", "pattern": {"String": "\u200b"}, "content": ""}
    file.write_text(json.dumps(told))
    chosen = configuration.override(
        configuration.preset("tiny", "reward"),
        [
            f"classifier={classifier}", f"data.source={save_rows(tmp_path / 'pairs.jsonl', rows)}", "max_steps=2",
            "reads=response", "per_device_train_batch_size=4", "eval_strategy=steps", "eval_steps=2",
        ],
    )  # fmt: skip
    run = looptop.start(chosen)
    assert run.wait() is RunState.FINISHED, run.reason
    assert math.isfinite(last(run.journal, "eval_loss").value)  # type: ignore[arg-type]
