"""Builds `decoder`: a small GPT-2 that learns from answers alone to write one and stop."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import ByteLevelBPETokenizer
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

from looptop.engine.bundle.shared import HEADS, SEED, WIDTH, save, train, write_card
from looptop.engine.vqa.model.processing import IGNORED, answer_labels
from looptop.engine.worlds import shapes

STEPS, BATCH, RATE = 300, 256, 2e-3
INNER = 768
"""The width of the decoder's feed-forward layers, which compare the question with the image."""
INITIALIZER_RANGE = 0.1
"""Larger than the encoders': it also applies to the cross-attention that is added to the decoder."""
ANSWER_LENGTH = 64


def build(folder: Path) -> None:
    """Trains a GPT-2 on answers alone and saves it with its tokenizer and card."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    tokenizer = answer_tokenizer(shapes.ANSWERS)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    end = tokenizer.eos_token_id
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=ANSWER_LENGTH,
            n_embd=WIDTH,
            n_layer=2,
            n_head=HEADS,
            n_inner=INNER,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            initializer_range=INITIALIZER_RANGE,
            bos_token_id=end,
            eos_token_id=end,
            pad_token_id=end,
        )
    )
    answers = [question.answer for _ in range(20_000) for question in shapes.ask(shapes.make_scene(rng), rng)]
    frequencies = torch.tensor([answers.count(answer) / len(answers) for answer in shapes.ANSWERS])
    inputs, targets = answer_labels([tokenizer(f" {answer}")["input_ids"] for answer in shapes.ANSWERS], end, end)

    def loss() -> Tensor:
        drawn = torch.multinomial(frequencies, BATCH, replacement=True)
        return F.cross_entropy(model(inputs[drawn]).logits.flatten(0, 1), targets[drawn].flatten())

    train("decoder", [model], loss, STEPS, RATE)
    with torch.no_grad():
        logp = model(inputs).logits.log_softmax(-1).gather(2, targets.clamp(min=0).unsqueeze(2)).squeeze(2)
        probability = (logp * (targets != IGNORED)).sum(dim=1).exp()
    save(model, folder)
    largest_error = float((probability - frequencies).abs().max())
    write_card(
        folder,
        "A small GPT-2 that writes answers",
        f"""A `GPT2LMHeadModel` of width {WIDTH}, 2 layers, {HEADS} heads, inner width {INNER}; a byte-level BPE
tokenizer with {len(tokenizer)} tokens, so that any text can be encoded. As in GPT-2, `<|endoftext|>` begins and ends.

## How and on what
The {len(shapes.ANSWERS)} answers of `looptop.engine.worlds.shapes`, each as often as that world gives it, text alone
({STEPS} steps of {BATCH}). It has seen no image and no question.

## How good
It gives these answers, ended, {float(probability.sum()):.2%} of its probability, and each its share to within
{largest_error:.2%}.

## What it cannot do
It writes only these answers. Which one it writes depends on cross-attention, which is not part of it.""",
    )


def answer_tokenizer(answers: Iterable[str]) -> GPT2Tokenizer:
    """A byte-level BPE tokenizer in which each of the answers is one token, alone or after a space."""
    forms = [form for answer in answers for form in (answer, f" {answer}")]
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        forms, vocab_size=1000, min_frequency=1, special_tokens=["<|endoftext|>"], show_progress=False
    )
    pairs = json.loads(trained.to_str())["model"]
    merges: Any = [tuple(merge) for merge in pairs["merges"]]
    return GPT2Tokenizer(vocab=pairs["vocab"], merges=merges, pad_token="<|endoftext|>", model_max_length=ANSWER_LENGTH)
