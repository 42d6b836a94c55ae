"""Rewards: real classifiers' logits, alone as in a batch; functions; weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from looptop.engine.config.ppo import RewardConfig
from looptop.engine.errors import LooptopError
from looptop.engine.ppo.reward_function import Function, what_is_wrong
from looptop.engine.ppo.rewards import BATCH_SIZE, Reward, classifier_inputs
from tests.factories.ppo import TEXTS, save_classifier, save_decoder_classifier

RESPONSES = [*TEXTS[:5], "tram", "", "the council in Oslo"]
QUERIES = ["a query"] * len(RESPONSES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("classifiers")
    return save_classifier(folder / "grammar"), save_classifier(folder / "sentiment", labels=3, seed=1)


def test_scores_are_what_listing_7_5s_pipelines_give(folders: tuple[Path, Path]) -> None:
    """Listing 7.5: `pipeline('text-classification')` with `function_to_apply='none'`, the score of LABEL_1."""
    reward = Reward.load(
        [
            RewardConfig(name="grammar", model=str(folders[0]), weight=1.0),
            RewardConfig(name="neutral", model=str(folders[1]), weight=0.5),
        ]
    )
    scores = reward.score(QUERIES, RESPONSES)
    for name, folder in zip(("grammar", "neutral"), folders, strict=True):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        listed = pipeline("text-classification", model=model, tokenizer=tokenizer)
        wanted = [
            next(label["score"] for label in result if label["label"] == "LABEL_1")  # type: ignore[index]
            for result in listed(RESPONSES, function_to_apply="none", top_k=None)
        ]
        assert scores[name] == pytest.approx(wanted, abs=1e-5)
    assert reward.total(scores) == pytest.approx(
        [one + 0.5 * two for one, two in zip(scores["grammar"], scores["neutral"], strict=True)]
    )


def test_a_response_scores_the_same_alone_and_in_any_batch(folders: tuple[Path, Path]) -> None:
    reward = Reward.load([RewardConfig(name="grammar", model=str(folders[0]))])
    many = RESPONSES * (BATCH_SIZE // len(RESPONSES) + 1)
    together = reward.score(["q"] * len(many), many)["grammar"]
    alone = [reward.score(["q"], [response])["grammar"][0] for response in RESPONSES]
    assert together[: len(alone)] == pytest.approx(alone, abs=1e-5)
    assert together[-1] == pytest.approx(alone[-1], abs=1e-5)


def test_long_texts_are_cut_and_a_pair_is_read_where_that_is_wanted(folders: tuple[Path, Path]) -> None:
    model = str(folders[0])
    long = " ".join(TEXTS)
    (score,) = Reward.load([RewardConfig(name="g", model=model)]).score(["q"], [long])["g"]
    (cut,) = Reward.load([RewardConfig(name="g", model=model, max_tokens=12)]).score(["q"], [long])["g"]
    assert torch.isfinite(torch.tensor([score, cut])).all() and score != cut
    both = Reward.load([RewardConfig(name="g", model=model, reads="both")])
    one, two = both.score(["tram", "council"], ["opened", "opened"])["g"]
    assert one != two
    tokenizer = AutoTokenizer.from_pretrained(model)
    (ids,) = classifier_inputs(tokenizer, [long], ["tram line"], "both", 16)["input_ids"]
    assert len(ids) == 16 and tokenizer.decode(ids[-4:-1]).endswith("tram line")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nothing", "is not of the form module:function"),
        ("statistics:nothing_there", "there is no function 'nothing_there' in statistics"),
        ("/nowhere/mine.py:f", "there is no file /nowhere/mine.py"),
        ("os:__import__('x')", "is not of the form module:function"),
    ],
)
def test_a_missing_function_is_a_sentence(name: str, sentence: str) -> None:
    with pytest.raises(LooptopError) as caught:
        Function(name)
    assert sentence in str(caught.value)


def test_a_function_may_give_a_tensor(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import torch\ndef f(queries, responses):\n    return torch.ones(len(queries))\n")
    reward = Reward.load([RewardConfig(name="f", function=f"{tmp_path}/mine.py:f", weight=-2.0)])
    assert reward.total(reward.score(["q"] * 3, ["r"] * 3)) == [-2.0] * 3


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("{0: 1.0, 1: 1.0}", "gave {0: 1.0, 1: 1.0}; it must give a list of numbers, one for each response"),
        ("{0.5, 1.5}", "gave {0.5, 1.5}; it must give a list of numbers"),
        ("__import__('collections').UserDict({0: 1.0, 1: 1.0})", "it must give a list of numbers"),
        ("__import__('pandas').DataFrame([[1.0, 2.0], [3.0, 4.0]])", "it must give a list of numbers"),
        ("__import__('torch').tensor(1.0)", "gave tensor(1.); it must give a list of numbers"),
        ("__import__('torch').tensor([True, False])", "gave True for sample 0, which is not a finite number"),
        ("[-1e308, 0.0]", "gave -1e+308 for sample 0, which is larger than a run can compute with (1e+18)"),
        ("[0, 10**400]", "for sample 1, which is larger than a run can compute with"),
        ("[0, float('-inf')]", "gave -inf for sample 1, which is not a finite number"),
    ],
)
def test_a_function_that_gives_no_usable_numbers_is_a_sentence(tmp_path: Path, given: str, sentence: str) -> None:
    (tmp_path / "mine.py").write_text(f"def f(queries, responses):\n    return {given}\n")
    reward = Reward.load([RewardConfig(name="f", function=f"{tmp_path}/mine.py:f")])
    with pytest.raises(LooptopError) as caught:
        reward.score(["q"] * 2, ["r"] * 2)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert sentence in what_is_wrong("f", f"{tmp_path}/mine.py:f", ["q"] * 2, ["r"] * 2)


def test_a_score_that_its_weight_makes_too_large_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def f(queries, responses):\n    return [1e12]\n")
    name = f"{tmp_path}/mine.py:f"
    assert Reward.load([RewardConfig(name="f", function=name)]).score(["q"], ["r"]) == {"f": [1e12]}
    with pytest.raises(LooptopError, match=r"larger than a run can compute with \(1e\+18\) at its weight of -1e\+09"):
        Reward.load([RewardConfig(name="f", function=name, weight=-1e9)]).score(["q"], ["r"])


def test_an_empty_text_has_one_score_alone_and_in_any_batch_of_a_tokenizer_that_adds_nothing(tmp_path: Path) -> None:
    reward = Reward.load([RewardConfig(name="r", model=str(save_decoder_classifier(tmp_path)))])
    (alone,) = reward.score(["q"], [""])["r"]
    assert reward.score(["q"] * 3, [""] * 3)["r"] == pytest.approx([alone] * 3)
    assert reward.score(["q"] * 2, ["the tram", ""])["r"][1] == pytest.approx(alone)
    both = Reward.load([RewardConfig(name="r", model=str(tmp_path), reads="both")])
    assert both.score([""], [""])["r"] == pytest.approx([alone])
