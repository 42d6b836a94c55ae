"""Builds `text_encoder`: a small DistilBERT that learns from questions alone what they ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DistilBertConfig, DistilBertForMaskedLM, DistilBertTokenizerFast

from looptop.engine.bundle.shared import HEADS, INITIALIZER_RANGE, SEED, WIDTH, fraction_true, save, train, write_card
from looptop.engine.vqa.confidence.training_notes import write_words
from looptop.engine.worlds import shapes

STEPS, RATE = 600, 2e-3
TEXT_LENGTH = 128
"""The greatest number of tokens of a question; longer ones are cut."""

ASKS = ("shape", "color", "present", "absent")
THINGS = ("", *shapes.SHAPES, *shapes.COLORS)


def build(folder: Path) -> None:
    """Trains a DistilBERT on questions alone and saves it with its tokenizer and card."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    meanings = shapes.meanings()
    questions = sorted(meanings)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = question_tokenizer(shapes.vocabulary())
    tokenizer.save_pretrained(folder)
    model = DistilBertForMaskedLM(
        DistilBertConfig(
            vocab_size=len(tokenizer),
            max_position_embeddings=TEXT_LENGTH,
            n_layers=2,
            n_heads=HEADS,
            dim=WIDTH,
            hidden_dim=4 * WIDTH,
            dropout=0.0,
            attention_dropout=0.0,
            initializer_range=INITIALIZER_RANGE,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    heads = nn.ModuleDict({"asks": nn.Linear(WIDTH, len(ASKS)), "thing": nn.Linear(WIDTH, len(THINGS))})
    asks = torch.tensor([ASKS.index(meanings[question].asks) for question in questions])
    thing = torch.tensor([THINGS.index(meanings[question].thing) for question in questions])

    def encode(texts: list[str]) -> tuple[Tensor, Tensor]:
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        return batch["input_ids"], batch["attention_mask"]

    def mean_state(ids: Tensor, mask: Tensor) -> Tensor:
        states = model.distilbert(ids, attention_mask=mask).last_hidden_state
        mean: Tensor = (states * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        return mean

    def masked(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions of masked words, `[masked words, vocabulary]`, and the words."""
        special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids))
        hidden = (torch.rand(ids.shape) < 0.15) & ~special
        logits = model(ids.masked_fill(hidden, tokenizer.mask_token_id), attention_mask=mask).logits
        return logits[hidden], ids[hidden]

    as_written = encode(questions)

    def loss() -> Tensor:
        words, hidden = masked(*as_written)
        plain = mean_state(*as_written)
        # A reworded question should give the same state.
        other = mean_state(*encode([shapes.reword(question, rng) for question in questions]))
        value = F.cross_entropy(words, hidden) + F.mse_loss(other, plain)
        for mean in (plain, other):
            value = value + F.cross_entropy(heads["asks"](mean), asks) + F.cross_entropy(heads["thing"](mean), thing)
        return value

    train("text_encoder", [model, heads], loss, STEPS, RATE)
    with torch.no_grad():
        samples = [masked(*as_written) for _ in range(20)]
        guessed = fraction_true(torch.cat([words.argmax(-1) == hidden for words, hidden in samples]))

        def understood(texts: list[str]) -> float:
            mean = mean_state(*encode(texts))
            return fraction_true((heads["asks"](mean).argmax(-1) == asks) & (heads["thing"](mean).argmax(-1) == thing))

        plain = understood(questions)
        other = sum(understood([shapes.reword(question, rng) for question in questions]) for _ in range(20)) / 20
    save(model.distilbert, folder)
    write_words(folder, shapes.vocabulary())
    write_card(
        folder,
        "A small DistilBERT that understands questions about shapes",
        f"""A `DistilBertModel` of width {WIDTH}, 2 layers, {HEADS} heads, at most {TEXT_LENGTH} tokens; a WordPiece
tokenizer of {len(tokenizer)} pieces: the words of its questions, and every printable ASCII character, so that other
English text is spelled out rather than lost.

## How and on what
The {len(questions)} questions of `looptop.engine.worlds.shapes`, text alone ({STEPS} steps over all of them).
Hidden words are to be guessed; linear heads, thrown away afterwards, read from the mean of the last states what is
asked for (shape, color, whether something is there, whether it is not) and which shape or color is named; and the same
question in other words (`colour`, `picture`, `do you see`, no question mark) should give the same mean. It has seen no
image and no answer.

## How good
Read by those heads, both what is asked for and what is named: {plain:.2%} of the questions as written, {other:.2%} of
2,140 in other words. Of hidden words it guesses {guessed:.2%}; many cannot be known from the rest.

## What it cannot do
It knows the words of these questions and a few more: any other word is spelled in characters that mean nothing to it,
and questions of another kind (how many, where) are taken for one of those it knows.""",
    )


def question_tokenizer(words: list[str]) -> DistilBertTokenizerFast:
    """A lower-casing WordPiece tokenizer: these words as one token, other ASCII text by character."""
    characters = [chr(code) for code in range(0x21, 0x7F) if not chr(code).isupper()]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in characters if c.isalnum())]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces + words))}
    return DistilBertTokenizerFast(vocab=vocabulary, do_lower_case=True, model_max_length=TEXT_LENGTH)
