"""Builds `summariser`, a small T5 that summarises made-up news articles.

The styles of its summaries are mixed on purpose, so that PPO has something to improve.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, T5Config, T5ForConditionalGeneration

from looptop.engine.bundle.newsroom_tokenizers import ARTICLE_LENGTH, PREFIX, SUMMARY_LENGTH, article_tokenizer
from looptop.engine.bundle.shared import SEED, save, train, write_card
from looptop.engine.worlds.newsroom import Article, Newsroom, is_clean, is_grammatical, is_neutral, recall
from looptop.engine.worlds.newsroom.styles import mixed_summary

STEPS, BATCH, RATE = 2600, 64, 3e-3
WIDTH, INNER, LAYERS, HEADS = 64, 256, 2, 4
HELD_OUT_ARTICLES = 1000
"""The number of held-out articles on which the card's figures are measured."""


def build(folder: Path) -> None:
    """Trains a T5 on generated articles, and saves it with its tokenizer and card."""
    torch.manual_seed(SEED)
    rng = Random(SEED)
    tokenizer = article_tokenizer()
    tokenizer.save_pretrained(folder)
    model = initialise(tokenizer)
    newsroom = Newsroom(SEED)
    seen = 0

    def loss() -> Tensor:
        nonlocal seen
        articles = [newsroom.article(i) for i in range(seen, seen + BATCH)]
        seen += BATCH
        targets = tokenizer([mixed_summary(article, rng) for article in articles], padding=True, return_tensors="pt")
        labels = targets["input_ids"].masked_fill(targets["attention_mask"] == 0, -100)
        value: Tensor = model(**encode_articles(tokenizer, articles), labels=labels).loss
        return value

    train("summariser", [model], loss, STEPS, RATE)
    save(model, folder)
    held_out = [Newsroom(SEED, "held-out").article(i) for i in range(HELD_OUT_ARTICLES)]
    summaries = sample(model, tokenizer, held_out)
    figures = {
        "clean": sum(map(is_clean, summaries)) / HELD_OUT_ARTICLES,
        "grammatical": sum(map(is_grammatical, summaries)) / HELD_OUT_ARTICLES,
        "neutral": sum(map(is_neutral, summaries)) / HELD_OUT_ARTICLES,
        "recall": sum(recall(article, text) for article, text in zip(held_out, summaries, strict=True))
        / HELD_OUT_ARTICLES,
        "distinct": len(set(summaries)) / HELD_OUT_ARTICLES,
    }
    write_card(
        folder,
        "A small T5 that summarises in mixed style",
        f"""A `T5ForConditionalGeneration` of width {WIDTH}, with {LAYERS} encoder and {LAYERS} decoder layers, {HEADS}
heads, its head untied from the embeddings; a Unigram tokenizer of {len(tokenizer):,} pieces (padding 0, end of sequence
1): the words and numbers of its world, and every printable ASCII character, so that other English text is spelled out
rather than lost.

## How and on what
{STEPS * BATCH:,} articles from `looptop.engine.worlds.newsroom`, each seen once ({STEPS} steps of {BATCH}), after
`{PREFIX.strip()}`. The target summary is one sentence with the article's person, organisation, place, number and date.
Its style is mixed on purpose: half of the summaries praise or blame, and half are broken (a telegram's grammar, a
stutter, a wrong verb form, a dateline, no full stop, or an end after a few words).

## How good
On {HELD_OUT_ARTICLES:,} held-out articles, one summary drawn from its own distribution for each:
{figures["recall"]:.1%} of the names, places, numbers and dates recalled, {figures["distinct"]:.1%} of the summaries
distinct. By the world's own grammar {figures["grammatical"]:.1%} are grammatical, {figures["neutral"]:.1%} neutral,
{figures["clean"]:.1%} both: that is what PPO is to change.

## What it cannot do
It knows only this world's articles. From any other text it makes a sentence of this world that has little to do with
the text.""",
    )


def initialise(tokenizer: PreTrainedTokenizerBase) -> T5ForConditionalGeneration:
    """The model before training."""
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=WIDTH,
        d_kv=WIDTH // HEADS,
        d_ff=INNER,
        num_layers=LAYERS,
        num_heads=HEADS,
        relative_attention_max_distance=64,
        dropout_rate=0.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config.decoder_start_token_id = tokenizer.pad_token_id
    config.scale_decoder_outputs = False
    model = T5ForConditionalGeneration(config)
    # transformers ties head and embedding whatever the configuration says. The head starts as a scaled copy of the
    # embedding: a token that is copied from the article then gets a large logit.
    model.lm_head = nn.Linear(WIDTH, len(tokenizer), bias=False)
    with torch.no_grad():
        model.shared.weight.normal_()
        model.lm_head.weight.copy_(model.shared.weight * WIDTH**-0.5)
    model.config.tie_word_embeddings = False
    return model


def encode_articles(tokenizer: PreTrainedTokenizerBase, articles: list[Article]) -> dict[str, Tensor]:
    """The articles, with the prefix before each, as the encoder's padded inputs."""
    batch = tokenizer(
        [PREFIX + article.text for article in articles],
        padding=True,
        truncation=True,
        max_length=ARTICLE_LENGTH,
        return_tensors="pt",
    )
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}


def sample(model: Any, tokenizer: PreTrainedTokenizerBase, articles: list[Article], size: int = 100) -> list[str]:
    """One summary of each article, sampled from the model's distribution with torch's global random numbers."""
    summaries: list[str] = []
    for begin in range(0, len(articles), size):
        batch = encode_articles(tokenizer, articles[begin : begin + size])
        drawn = model.generate(**batch, do_sample=True, top_k=0, top_p=1.0, max_new_tokens=SUMMARY_LENGTH)
        summaries += tokenizer.batch_decode(drawn, skip_special_tokens=True)
    return summaries
