"""Tiny models of the real classes on disk, and configurations of runs that use them: PPO in seconds, without a hub."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import (
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from looptop.engine import config as configuration
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.config.reward import RewardRunConfig
from looptop.engine.ppo.batch_recorder import RecordedBatch
from looptop.engine.ppo.data import Query
from looptop.engine.ppo.rollout import Responses, Rollout
from looptop.engine.ppo.step import BatchProgress
from tests.engine.ppo.golden import load
from tests.factories.copies import made_once

WORDS = [
    *("the", "a", "council", "hospital", "school", "tram", "line", "in", "Oslo", "Rome", "announced", "opened"),
    *("closed", "for", "two", "six", "million", "today", "."),
]
TEXTS = [
    f"the {thing} in {city} {verb} a {what} for {number} million today ."
    for thing in ("council", "hospital", "school")
    for city in ("Oslo", "Rome")
    for verb in ("announced", "opened", "closed")
    for what in ("tram", "line", "school")
    for number in ("two", "six")
]


def save_tokenizer(folder: Path, size: int, *, roberta: bool = False) -> None:
    """A word-level tokenizer with a vocabulary of that size."""
    special = ["<s>", "<pad>", "</s>", "<unk>"] if roberta else ["<pad>", "</s>", "<unk>"]
    words = [*special, *WORDS]
    vocabulary = {word: number for number, word in enumerate([*words, *(f"w{n}" for n in range(size - len(words)))])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    end = ("</s>", vocabulary["</s>"])
    if roberta:
        tokenizer.post_processor = processors.RobertaProcessing(end, ("<s>", vocabulary["<s>"]))
    else:
        tokenizer.post_processor = processors.TemplateProcessing("$A </s>", None, [end])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=64,
        **({"bos_token": "<s>", "cls_token": "<s>", "sep_token": "</s>"} if roberta else {}),
    )  # fmt: skip
    fast.save_pretrained(folder)


@made_once
def save_policy(folder: Path, family: str = "t5") -> None:
    """The recordings' reference of a family, with a tokenizer: random weights that say many things."""
    prefix = "gpt2_" if family == "gpt2" else ""
    policy = load(f"{prefix}reference")
    policy.config.eos_token_id = policy.generation_config.eos_token_id = 1
    policy.save_pretrained(folder)
    save_tokenizer(folder, policy.config.vocab_size)


@made_once
def save_classifier(folder: Path, labels: int = 2, seed: int = 0, spread: float = 0.5) -> None:
    """A RoBERTa classifier with random weights and its tokenizer: the classes of listing 7.5's models."""
    save_tokenizer(folder, size := 64, roberta=True)
    torch.manual_seed(seed)
    config = RobertaConfig(  # type: ignore[call-arg]
        vocab_size=size, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=66, num_labels=labels, pad_token_id=1, bos_token_id=0, eos_token_id=2,
        initializer_range=spread, type_vocab_size=1,
    )  # fmt: skip
    RobertaForSequenceClassification(config).save_pretrained(folder)


def save_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> str:
    """A JSONL file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def save_texts(path: Path, texts: list[str] = TEXTS) -> Path:
    """A JSONL file with a column `text`."""
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    return path


def tiny_settings(folder: Path, *settings: str, family: str = "t5") -> list[str]:
    """What makes the tiny preset a short run on two cores of these models, as behind `--set`."""
    policy = save_policy(folder / "policy", family)
    grammar, sentiment = save_classifier(folder / "grammar"), save_classifier(folder / "sentiment", 3, 1)
    texts = save_texts(folder / "texts.jsonl")
    return [
        f"policy={policy}", f"data.source={texts}", "held_out=6", "prefix=", "max_new_tokens=8",
        f"rewards.grammar.model={grammar}", f"rewards.neutral.model={sentiment}",
        "batch_size=8", "mini_batch_size=4", "max_steps=4", "eval_steps=2", "learning_rate=1e-4",
        "lr_scheduler_type=constant", *settings,
    ]  # fmt: skip


def ppo_config(folder: Path, *settings: str, family: str = "t5") -> PpoRunConfig:
    """A short run on two cores of these models; `settings` as behind `--set`."""
    preset = configuration.preset("tiny", "ppo")
    chosen = configuration.override(preset, tiny_settings(folder, *settings, family=family))
    assert isinstance(chosen, PpoRunConfig)
    return chosen


def reward_config(folder: Path, *settings: str) -> RewardRunConfig:
    """Pairs that a word tells apart: `tram` is better than `council`."""
    classifier = save_classifier(folder / "classifier", spread=0.2)
    rows: list[dict[str, object]] = [
        {"query": text, "chosen": f"tram {text}", "rejected": f"council {text}"} for text in TEXTS
    ]
    chosen = configuration.override(
        configuration.preset("tiny", "reward"),
        [
            f"classifier={classifier}", f"data.source={save_rows(folder / 'pairs.jsonl', rows)}", "eval_strategy=steps",
            "eval_steps=10", "max_steps=40", "per_device_train_batch_size=16", "learning_rate=3e-3", *settings,
        ],
    )  # fmt: skip
    assert isinstance(chosen, RewardRunConfig)
    return chosen


def save_bare_tokenizer(folder: Path) -> None:
    """A decoder's tokenizer that adds nothing to a text: of an empty one it makes no id at all."""
    vocabulary = {word: number for number, word in enumerate(["<unk>", "</s>", *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", bos_token="</s>", unk_token="<unk>", model_max_length=64
    )
    fast.save_pretrained(folder)


def gpt2_config(**more: Any) -> GPT2Config:
    """A tiny GPT-2 of that tokenizer, with 8 ids more than it has words."""
    size = len(WORDS) + 2 + 8
    return GPT2Config(
        vocab_size=size, n_positions=64, n_embd=8, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=1, **more
    )


def save_decoder_classifier(folder: Path) -> Path:
    """A GPT-2 that classifies, as reward models made of decoders do."""
    torch.manual_seed(2)
    GPT2ForSequenceClassification(gpt2_config(num_labels=2)).save_pretrained(folder)
    save_bare_tokenizer(folder)
    return folder


def save_one_token_policy(folder: Path, token: int) -> Path:
    """A GPT-2 that writes one token always; of the end token, an empty response to everything."""
    torch.manual_seed(3)
    policy = GPT2LMHeadModel(gpt2_config())
    with torch.no_grad():
        policy.transformer.ln_f.weight.zero_()
        policy.transformer.ln_f.bias.fill_(1.0)
        policy.transformer.wte.weight[token] = 100.0
    policy.save_pretrained(folder)
    save_bare_tokenizer(folder)
    return folder


def scored_batch(
    *,
    responses: list[list[int]],
    texts: list[str],
    ended: list[bool],
    queries_cut: Sequence[bool],
    rewards: Sequence[float],
    scores: Mapping[str, list[float]],
) -> RecordedBatch:
    """A batch that has its rewards, as it is recorded; each argument has an entry for each sample."""
    queries = [Query(row, f"query {row}", [1], cut) for row, cut in enumerate(queries_cut)]
    rollout = Rollout(queries, Responses(responses, ended), texts)
    return RecordedBatch(BatchProgress(1, rollout, stage="scored", scores=dict(scores), rewards=rewards))
