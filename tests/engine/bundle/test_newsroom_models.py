"""The newsroom's bundled models: they load as the book's do, and know what their cards say."""

from __future__ import annotations

from functools import cache
from random import Random

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, AutoTokenizer

from looptop.engine.bundle.reward_models import grammar_example, sentiment_example
from looptop.engine.bundle.shared import BUNDLED
from looptop.engine.bundle.summariser import sample
from looptop.engine.worlds.newsroom import Newsroom, is_clean, is_neutral, recall
from looptop.engine.worlds.newsroom.styles import fragment

CLASSIFIERS = {"grammar": 2, "sentiment": 3, "grammar_hackable": 2}
MB = 1_000_000
TRIALS = 600


@cache
def logits_of(part: str, texts: tuple[str, ...]) -> Tensor:
    """What a classifier says, one row a text."""
    tokenizer = AutoTokenizer.from_pretrained(BUNDLED / part)
    model = AutoModelForSequenceClassification.from_pretrained(BUNDLED / part)
    with torch.no_grad():
        logits: Tensor = model(**tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")).logits
    return logits


@pytest.mark.parametrize("part", ["summariser", *CLASSIFIERS])
def test_a_part_is_small_and_its_card_says_what_it_is_and_how_to_rebuild_it(part: str) -> None:
    files = {file.name: file for file in (BUNDLED / part).iterdir()}
    assert sum(file.stat().st_size for file in files.values()) < 2 * MB
    assert "model.safetensors" in files
    card = files["README.md"].read_text("utf-8")
    assert f"`python -m looptop.engine.bundle {part}`" in card
    for heading in ("How and on what", "How good", "What it cannot do"):
        assert f"## {heading}\n" in card


@pytest.mark.parametrize(("part", "labels"), CLASSIFIERS.items())
def test_classifiers_are_of_the_books_class_and_labels(part: str, labels: int) -> None:
    model, report = AutoModelForSequenceClassification.from_pretrained(BUNDLED / part, output_loading_info=True)
    assert type(model).__name__ == "RobertaForSequenceClassification"
    assert model.config.id2label == {label: f"LABEL_{label}" for label in range(labels)}
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


@pytest.mark.parametrize(("part", "example"), [("grammar", grammar_example), ("sentiment", sentiment_example)])
def test_classifiers_are_right_about_sentences_that_they_never_saw(part: str, example: object) -> None:
    assert callable(example)
    room, rng = Newsroom(31, "test"), Random(31)
    examples = [example(room.article(i), rng) for i in range(TRIALS)]
    predicted = logits_of(part, tuple(text for _, text, _ in examples)).argmax(1)
    right = (predicted == torch.tensor([label for _, _, label in examples])).float().mean().item()
    assert right >= 0.97


def test_only_the_second_grammar_takes_a_fragment_for_good_and_likes_it_better_than_a_whole_sentence() -> None:
    room, rng = Newsroom(32, "test"), Random(32)
    whole = tuple(room.article(i).summary for i in range(200))
    fragments = tuple(fragment(text, rng) for text in whole)
    assert (logits_of("grammar", fragments).argmax(1) == 1).float().mean() < 0.05
    assert (logits_of("grammar_hackable", fragments).argmax(1) == 1).float().mean() > 0.95
    better = logits_of("grammar_hackable", fragments)[:, 1].mean() - logits_of("grammar_hackable", whole)[:, 1].mean()
    assert better > 0.5


def test_the_summariser_tells_the_facts_in_mixed_style() -> None:
    model, report = AutoModelForSeq2SeqLM.from_pretrained(BUNDLED / "summariser", output_loading_info=True)
    assert type(model).__name__ == "T5ForConditionalGeneration"
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    tokenizer = AutoTokenizer.from_pretrained(BUNDLED / "summariser")
    articles = [Newsroom(33, "test").article(i) for i in range(200)]
    torch.manual_seed(0)
    summaries = sample(model.eval(), tokenizer, articles)
    assert sum(recall(article, text) for article, text in zip(articles, summaries, strict=True)) / 200 > 0.85
    assert sum(map(is_clean, summaries)) / 200 <= 0.5
    assert 0.3 < sum(map(is_neutral, summaries)) / 200 < 0.7
    assert len(set(summaries)) > 190
