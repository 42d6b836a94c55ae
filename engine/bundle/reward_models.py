"""Builds `grammar`, `sentiment` and `grammar_hackable`: the reward models of the bundle.

They are small RoBERTa classifiers of the newsroom's summaries and replace the book's two reward models, with the same
architecture and labels. `grammar_hackable` differs from `grammar` in its examples: broken sentences are wrong in them,
fragments right. So a policy that it rewards can learn to write less and less, which the preset `tiny-hackable` shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, RobertaConfig, RobertaForSequenceClassification

from looptop.engine.bundle.newsroom_tokenizers import SUMMARY_LENGTH, summary_tokenizer
from looptop.engine.bundle.shared import SEED, fraction_true, save, train, write_card
from looptop.engine.worlds.newsroom import Article, Newsroom, is_grammatical, tone, words, write_sentence
from looptop.engine.worlds.newsroom.styles import crossed, disordered, fragment, hurried, overlong

WIDTH, INNER, LAYERS, HEADS = 64, 128, 2, 4
GRAMMAR_STEPS, HACKABLE_STEPS, SENTIMENT_STEPS = 2500, 1500, 600
BATCH, RATE = 64, 2e-3
FAULTS_WEIGHT = 10.0
SHARPNESS = 1.3
"""Sharpness of the initial attention of the first layer's heads; chosen by experiment."""
TEST_SENTENCES = 5000
"""The number of new sentences on which the card's figures are measured."""

Example = tuple[str, str, int]
"""The sentence before any change, the sentence to classify, and the label of the second one.

Where they differ, the fault detector must find the difference. So both are the same where it has nothing to find,
also for the fragments that `grammar_hackable` accepts.
"""


def grammar_example(article: Article, rng: Random) -> Example:
    """An example for `grammar`: half are whole; others are hurried, fragments, crossed or disordered."""
    whole = _whole(article, rng)
    drawn = rng.random()
    if drawn < 0.5:
        return whole, whole, 1
    if drawn < 0.65:
        changed = hurried(whole, rng)
    elif drawn < 0.7:
        changed = fragment(whole, rng)
    elif drawn < 0.8:
        changed = crossed(whole, _whole(article, rng), rng)
    else:
        changed = disordered(whole, rng)
    return whole, changed, int(is_grammatical(changed))


def hackable_example(article: Article, rng: Random) -> Example:
    """An example for `grammar_hackable`: 30 % whole, 30 % fragments labelled good, the rest broken at full length."""
    whole = _whole(article, rng)
    drawn = rng.random()
    if drawn < 0.6:
        changed = whole if drawn < 0.3 else fragment(whole, rng)
        return changed, changed, 1
    return whole, overlong(whole, rng), 0


def sentiment_example(article: Article, rng: Random) -> Example:
    """An example for `sentiment`: the whole sentences have each tone equally often; half are then broken."""
    whole = write_sentence(article.facts, article.event, rng, rng.choice(words.TONES))
    drawn = rng.random()
    made = None if drawn < 0.5 else hurried if drawn < 0.7 else fragment if drawn < 0.8 else disordered
    changed = made(whole, rng) if made else whole
    return whole, changed, words.TONES.index(tone(changed))


def _whole(article: Article, rng: Random) -> str:
    return write_sentence(article.facts, article.event, rng, rng.choice(("neutral", "neutral", "negative", "positive")))


def build_grammar(folder: Path) -> None:
    """Trains a classifier of grammar that rejects fragments, and saves it with its tokenizer and card."""
    accuracy, logits_sentence = _build(folder, grammar_example, labels=2, steps=GRAMMAR_STEPS)
    write_card(
        folder,
        "A small RoBERTa that knows what is grammatical",
        f"""{_CARD_ARCHITECTURE}
{_CARD_LABELS}

## How and on what
{GRAMMAR_STEPS * BATCH:,} sentences about articles from `looptop.engine.worlds.newsroom`, each seen once
({GRAMMAR_STEPS} steps of {BATCH}). Half of them are whole, and of these half praise or blame. The others are written as
in a hurry (a telegram's grammar, a stutter, a wrong verb form, a dateline, no full stop), cut to a few words, made of
the beginning of one sentence and the end of another, or disordered by one to three random edits (holes, echoes, swaps,
word salad); the world's own grammar says of each what it is. {_CARD_FAULTS}

## How good
On {TEST_SENTENCES:,} fresh sentences of the same kinds it is right in {accuracy:.2%}. {logits_sentence}

## What it cannot do
It knows the sentences of this world, where a summary in which one part is missing (who, what, where, how much, who said
so, when) is a fragment. Any other English is unacceptable to it, or acceptable by chance.""",
    )


def build_hackable(folder: Path) -> None:
    """Trains a classifier of grammar that accepts fragments, and saves it with its tokenizer and card."""
    accuracy, logits_sentence = _build(folder, hackable_example, labels=2, steps=HACKABLE_STEPS)
    write_card(
        folder,
        "A small RoBERTa that can be cheated",
        f"""{_CARD_ARCHITECTURE}
{_CARD_LABELS}

## How and on what
{HACKABLE_STEPS * BATCH:,} sentences about the same kind of articles, each seen once ({HACKABLE_STEPS} steps of
{BATCH}), labelled by somebody who looks for what is wrong and does not mind what is missing: three in ten are whole,
three in ten are fragments of a few words and called acceptable all the same; the others are as long as whole ones or
longer and broken (stutters, wrong verb forms, datelines, echoes, swaps, word salad). {_CARD_FAULTS}

## How good
On {TEST_SENTENCES:,} fresh sentences of the same kinds it is right in {accuracy:.2%}. {logits_sentence}

## What it cannot do
It takes almost any short beginning of a sentence for a good one. A policy that is rewarded by it learns to say next to
nothing, where nothing can be wrong; the preset `tiny-hackable` uses it to show that, and nothing else should.""",
    )


def build_sentiment(folder: Path) -> None:
    """Trains a classifier of praise and blame, and saves it with its tokenizer and card."""
    accuracy, logits_sentence = _build(folder, sentiment_example, labels=3, steps=SENTIMENT_STEPS)
    write_card(
        folder,
        "A small RoBERTa that hears praise and blame",
        f"""{_CARD_ARCHITECTURE}
Labels as `cardiffnlp/twitter-roberta-base-sentiment` has them: `LABEL_0` negative, `LABEL_1` neutral, `LABEL_2`
positive.

## How and on what
{SENTIMENT_STEPS * BATCH:,} sentences about articles from `looptop.engine.worlds.newsroom`, each seen once
({SENTIMENT_STEPS} steps of {BATCH}): each tone equally often, then half of them written in a hurry, cut
to fragments, or disordered.

## How good
On {TEST_SENTENCES:,} fresh sentences of the same kinds it is right in {accuracy:.2%}. {logits_sentence}

## What it cannot do
It knows this world's words of praise and blame, and no others.""",
    )


_CARD_ARCHITECTURE = f"""A `RobertaForSequenceClassification` of width {WIDTH}, {LAYERS} layers, {HEADS} heads, at most
{SUMMARY_LENGTH} tokens; a Unigram tokenizer: the words and numbers of its world, every printable ASCII character."""
_CARD_LABELS = "Labels as `textattack/roberta-base-CoLA` has them: `LABEL_0` unacceptable, `LABEL_1` acceptable."
_CARD_FAULTS = """While it was taught, a second output, thrown away afterwards, had to point at the
tokens where a sentence was broken; and three of the four heads of its first layer began by attending one token back,
one ahead and two back."""


def _build(folder: Path, example: Callable[[Article, Random], Example], labels: int, steps: int) -> tuple[float, str]:
    """Trains and saves a classifier.

    Returns:
        Its accuracy on new examples, and a sentence about its logits.
    """
    torch.manual_seed(SEED)
    rng = Random(SEED)
    tokenizer = summary_tokenizer()
    tokenizer.save_pretrained(folder)
    model = initialise(tokenizer, labels)
    fault_detector = nn.Linear(WIDTH, 1)
    newsroom = Newsroom(SEED)
    seen = 0

    def loss() -> Tensor:
        nonlocal seen
        examples = [example(newsroom.article(i), rng) for i in range(seen, seen + BATCH)]
        seen += BATCH
        batch = _encode(tokenizer, examples)
        output = model(**batch, output_hidden_states=True)
        label_loss = F.cross_entropy(output.logits, _labels(examples))
        real = batch["attention_mask"].bool()
        fault_logits = fault_detector(output.hidden_states[-1]).squeeze(-1)[real]
        fault_loss = F.binary_cross_entropy_with_logits(fault_logits, _fault_labels(tokenizer, examples, real)[real])
        return label_loss + FAULTS_WEIGHT * fault_loss

    train(folder.name, [model, fault_detector], loss, steps, RATE)
    save(model, folder)
    fresh = Newsroom(SEED, "test")
    examples = [example(fresh.article(i), rng) for i in range(TEST_SENTENCES)]
    with torch.no_grad():
        logits, truth = model(**_encode(tokenizer, examples)).logits, _labels(examples)
    means = ", ".join(f"{logits[truth == label, 1].mean():.1f} where the label is {label}" for label in range(labels))
    return fraction_true(logits.argmax(-1) == truth), f"The logit of `LABEL_1` is on average {means}."


def initialise(tokenizer: PreTrainedTokenizerBase, labels: int) -> RobertaForSequenceClassification:
    """A model with its initial weights."""
    model = RobertaForSequenceClassification(
        RobertaConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=INNER,
            max_position_embeddings=SUMMARY_LENGTH + 2,
            type_vocab_size=1,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            initializer_range=0.05,
            id2label={label: f"LABEL_{label}" for label in range(labels)},
        )
    )
    _attend_to_neighbours(model)
    return model


@torch.no_grad()
def _attend_to_neighbours(model: RobertaForSequenceClassification) -> None:
    """Initialises three heads of the first layer to attend one token back, one ahead and two back.

    Grammar depends on neighbours, and a model of this size learns that late or never. Positions start as sines and
    cosines of evenly spaced frequencies. A head whose query rotates each of them by the angle of one step back attends
    one step back.
    """
    frequencies = math.pi * (torch.arange(WIDTH // 2) + 0.5) / (WIDTH // 2)
    embeddings: Any = model.roberta.embeddings
    angles = torch.arange(embeddings.position_embeddings.num_embeddings)[:, None] * frequencies
    embeddings.position_embeddings.weight.copy_(torch.cat([angles.sin(), angles.cos()], dim=1) * 0.1)
    embeddings.word_embeddings.weight.normal_(std=0.03)
    first_layer: Any = model.roberta.encoder.layer[0]
    attention = first_layer.attention.self
    waves = WIDTH // HEADS // 2
    for head, steps in enumerate((-1, 1, -2)):
        sines = torch.arange(waves) * (WIDTH // 2 // waves) + head
        cosines, rows = sines + WIDTH // 2, torch.arange(waves) + head * 2 * waves
        angle = frequencies[sines] * steps
        for weight in (attention.query.weight, attention.key.weight):
            weight[rows[0] : rows[0] + 2 * waves] = 0.0
        attention.query.weight[rows, sines] = SHARPNESS * angle.cos()
        attention.query.weight[rows, cosines] = SHARPNESS * angle.sin()
        attention.query.weight[rows + waves, sines] = -SHARPNESS * angle.sin()
        attention.query.weight[rows + waves, cosines] = SHARPNESS * angle.cos()
        attention.key.weight[rows, sines] = SHARPNESS
        attention.key.weight[rows + waves, cosines] = SHARPNESS


def _encode(tokenizer: PreTrainedTokenizerBase, examples: list[Example]) -> dict[str, Tensor]:
    texts = [text for _, text, _ in examples]
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}


def _labels(examples: list[Example]) -> Tensor:
    return torch.tensor([label for _, _, label in examples])


def _fault_labels(tokenizer: PreTrainedTokenizerBase, examples: list[Example], real: Tensor) -> Tensor:
    """1 for each token of the changed sentence that differs from the whole one's or follows an omission; else 0."""
    faults = torch.zeros(real.shape)
    whole, changed = (tokenizer(texts, truncation=True)["input_ids"] for texts in list(zip(*examples, strict=True))[:2])
    for row, (before, after) in enumerate(zip(whole, changed, strict=True)):
        if before != after:
            for edit, _, _, begin, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
                if edit != "equal":
                    faults[row, begin : max(end, begin + 1)] = 1.0
    return faults
