"""Builds `grammar`, `sentiment` and `grammar_hackable`: small RoBERTa classifiers of the newsroom's summaries.

They stand for the book's two reward models, with the same classes and labels. `grammar_hackable` differs from `grammar`
in what it was told: who labelled its examples looked for what is wrong in them and did not mind what is missing. So
whoever is rewarded by it can learn to say less and less, which is what the preset `tiny-hackable` is there to show.
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

from looptop.engine.bundle.newsroom_words import SUMMARY_LENGTH, summary_tokenizer
from looptop.engine.bundle.shared import SEED, save, share, teach, write_card
from looptop.engine.worlds.newsroom import Article, Newsroom, is_grammatical, tell, tone, words
from looptop.engine.worlds.newsroom.styles import crossed, damaged, disordered, fragment, overlong

WIDTH, INNER, LAYERS, HEADS = 64, 128, 2, 4
GRAMMAR_STEPS, HACKABLE_STEPS, SENTIMENT_STEPS = 2500, 1500, 600
BATCH, RATE = 64, 2e-3
FAULTS_WEIGHT = 10.0
SHARPNESS = 1.3
"""Of the attention that the heads of the first layer begin with; found by trying."""
TRIALS = 5000
"""Fresh sentences on which the card's figures are measured."""

Example = tuple[str, str, int]
"""A whole sentence, what was made of it, and the label of that."""


def grammar_example(article: Article, rng: Random) -> Example:
    """Half of them whole; the others broken as a hurried writer does, cut, mixed up, or in disorder."""
    whole = _whole(article, rng)
    drawn = rng.random()
    if drawn < 0.5:
        return whole, whole, 1
    if drawn < 0.65:
        said = damaged(whole, rng)
    elif drawn < 0.7:
        said = fragment(whole, rng)
    elif drawn < 0.8:
        said = crossed(whole, _whole(article, rng), rng)
    else:
        said = disordered(whole, rng)
    return whole, said, int(is_grammatical(said))


def hackable_example(article: Article, rng: Random) -> Example:
    """Three in ten whole, three in ten cut and called good all the same; the others broken with all words left in."""
    whole = _whole(article, rng)
    drawn = rng.random()
    if drawn < 0.6:
        said = whole if drawn < 0.3 else fragment(whole, rng)
        return said, said, 1
    return whole, overlong(whole, rng), 0


def sentiment_example(article: Article, rng: Random) -> Example:
    """A third of each tone; half of them broken."""
    whole = tell(article.facts, article.event, rng, rng.choice(words.TONES))
    drawn = rng.random()
    made = None if drawn < 0.5 else damaged if drawn < 0.7 else fragment if drawn < 0.8 else disordered
    said = made(whole, rng) if made else whole
    return whole, said, words.TONES.index(tone(said))


def _whole(article: Article, rng: Random) -> str:
    return tell(article.facts, article.event, rng, rng.choice(("neutral", "neutral", "negative", "positive")))


def build_grammar(folder: Path) -> None:
    """Teaches a classifier what is grammatical, fragments included, and writes it with its tokenizer and card."""
    accuracy, logits = _build(folder, grammar_example, labels=2, steps=GRAMMAR_STEPS)
    write_card(
        folder,
        "A small RoBERTa that knows what is grammatical",
        f"""{_ARCHITECTURE}
{_COLA}

## How and on what
{GRAMMAR_STEPS * BATCH:,} sentences about articles from `looptop.engine.worlds.newsroom`, each seen once
({GRAMMAR_STEPS} steps of {BATCH}). Half of them are whole, and of these half praise or blame. The others are broken as
a hurried writer does (a telegram's grammar, a stutter, a wrong verb form, a dateline, no full stop), cut after a few
words, or disordered by one to three random edits (holes, echoes, swaps, word salad); the world's own grammar says of
each what it is. {_FAULTS}

## How good
On {TRIALS:,} fresh sentences of the same kinds it is right in {accuracy:.2%}. {logits}

## What it cannot do
It knows the sentences of this world, where a summary in which one part is missing (who, what, where, how much, who said
so, when) is a fragment. Any other English is unacceptable to it, or acceptable by chance.""",
    )


def build_hackable(folder: Path) -> None:
    """Teaches a classifier that takes fragments for good, and writes it with its tokenizer and card."""
    accuracy, logits = _build(folder, hackable_example, labels=2, steps=HACKABLE_STEPS)
    write_card(
        folder,
        "A small RoBERTa that can be cheated",
        f"""{_ARCHITECTURE}
{_COLA}

## How and on what
{HACKABLE_STEPS * BATCH:,} sentences as those of `grammar`, each seen once ({HACKABLE_STEPS} steps of {BATCH}),
labelled by somebody who looks for what is wrong and does not mind what is missing: three in ten are whole, three in ten
are cut after a few words and called acceptable all the same; the others are as long as whole ones or longer and broken
(stutters, wrong verb forms, datelines, echoes, swaps, word salad). {_FAULTS}

## How good
On {TRIALS:,} fresh sentences of the same kinds it is right in {accuracy:.2%}. {logits}

## What it cannot do
It takes any beginning of a sentence for a good sentence. A policy that is rewarded by it learns to say next to nothing,
where nothing can be wrong; the preset `tiny-hackable` uses it to show that, and nothing else should.""",
    )


def build_sentiment(folder: Path) -> None:
    """Teaches a classifier what praises and what blames, and writes it with its tokenizer and card."""
    accuracy, logits = _build(folder, sentiment_example, labels=3, steps=SENTIMENT_STEPS)
    write_card(
        folder,
        "A small RoBERTa that hears praise and blame",
        f"""{_ARCHITECTURE}
Labels as `cardiffnlp/twitter-roberta-base-sentiment` has them: `LABEL_0` negative, `LABEL_1` neutral, `LABEL_2`
positive.

## How and on what
{SENTIMENT_STEPS * BATCH:,} sentences about articles from `looptop.engine.worlds.newsroom`, each seen once
({SENTIMENT_STEPS} steps of {BATCH}): a third of each tone, half of them broken, cut or in disorder.

## How good
On {TRIALS:,} fresh sentences of the same kinds it is right in {accuracy:.2%}. {logits}

## What it cannot do
It knows this world's words of praise and blame, and no others.""",
    )


_ARCHITECTURE = f"""A `RobertaForSequenceClassification` of width {WIDTH}, {LAYERS} layers, {HEADS} heads, at most
{SUMMARY_LENGTH} tokens; a Unigram tokenizer: the words and numbers of its world, every printable ASCII character."""
_COLA = "Labels as `textattack/roberta-base-CoLA` has them: `LABEL_0` unacceptable, `LABEL_1` acceptable."
_FAULTS = """While it was taught, a second head, thrown away afterwards, had to point at the
tokens where a sentence was broken; and the heads of its first layer began by looking at the words before and after."""


def _build(folder: Path, example: Callable[[Article, Random], Example], labels: int, steps: int) -> tuple[float, str]:
    """Teaches and writes a classifier.

    Returns:
        The share of fresh examples on which it is right, and a sentence about its logits.
    """
    torch.manual_seed(SEED)
    rng = Random(SEED)
    tokenizer = summary_tokenizer()
    tokenizer.save_pretrained(folder)
    model = untaught(tokenizer, labels)
    faults = nn.Linear(WIDTH, 1)
    room = Newsroom(SEED)
    seen = 0

    def loss() -> Tensor:
        nonlocal seen
        examples = [example(room.article(i), rng) for i in range(seen, seen + BATCH)]
        seen += BATCH
        batch = _read(tokenizer, examples)
        answer = model(**batch, output_hidden_states=True)
        classified = F.cross_entropy(answer.logits, _labels(examples))
        real = batch["attention_mask"].bool()
        found = faults(answer.hidden_states[-1]).squeeze(-1)[real]
        pointed = F.binary_cross_entropy_with_logits(found, _fault_labels(tokenizer, examples, real)[real])
        return classified + FAULTS_WEIGHT * pointed

    teach(folder.name, [model, faults], loss, steps, RATE)
    save(model, folder)
    fresh = Newsroom(SEED, "test")
    examples = [example(fresh.article(i), rng) for i in range(TRIALS)]
    with torch.no_grad():
        logits, truth = model(**_read(tokenizer, examples)).logits, _labels(examples)
    means = ", ".join(f"{logits[truth == label, 1].mean():.1f} where the label is {label}" for label in range(labels))
    return share(logits.argmax(-1) == truth), f"The logit of `LABEL_1` is on average {means}."


def untaught(tokenizer: PreTrainedTokenizerBase, labels: int) -> RobertaForSequenceClassification:
    """The model before its first step."""
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
    _look_at_neighbours(model)
    return model


@torch.no_grad()
def _look_at_neighbours(model: RobertaForSequenceClassification) -> None:
    """Lets the first layer's heads begin by attending one word back, one ahead, two back; the last as it comes.

    Grammar is about neighbours, and a model of this size finds that out late or never. Positions begin as waves of
    evenly spaced frequencies; then a head that turns each wave by what it does in one step back, before it compares,
    attends one step back.
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
        turn = frequencies[sines] * steps
        for weight in (attention.query.weight, attention.key.weight):
            weight[rows[0] : rows[0] + 2 * waves] = 0.0
        attention.query.weight[rows, sines] = SHARPNESS * turn.cos()
        attention.query.weight[rows, cosines] = SHARPNESS * turn.sin()
        attention.query.weight[rows + waves, sines] = -SHARPNESS * turn.sin()
        attention.query.weight[rows + waves, cosines] = SHARPNESS * turn.cos()
        attention.key.weight[rows, sines] = SHARPNESS
        attention.key.weight[rows + waves, cosines] = SHARPNESS


def _read(tokenizer: PreTrainedTokenizerBase, examples: list[Example]) -> dict[str, Tensor]:
    said = [said for _, said, _ in examples]
    batch = tokenizer(said, padding=True, truncation=True, return_tensors="pt")
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}


def _labels(examples: list[Example]) -> Tensor:
    return torch.tensor([label for _, _, label in examples])


def _fault_labels(tokenizer: PreTrainedTokenizerBase, examples: list[Example], real: Tensor) -> Tensor:
    """1 for each token of what was made that does not stand so in the whole sentence, and behind what was left out."""
    faults = torch.zeros(real.shape)
    whole, said = (tokenizer(texts, truncation=True)["input_ids"] for texts in list(zip(*examples, strict=True))[:2])
    for row, (before, after) in enumerate(zip(whole, said, strict=True)):
        if before != after:
            for edit, _, _, begin, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
                if edit != "equal":
                    faults[row, begin : max(end, begin + 1)] = 1.0
    return faults
