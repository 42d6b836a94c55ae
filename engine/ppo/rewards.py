"""The reward of a response (listing 7.5): a weighted sum of scores by classifiers, Python functions and people.

A classifier's score is the raw logit of one label, computed for up to `BATCH_SIZE` responses in one pass.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from looptop.engine.config.ppo import GenerationConfig, RewardConfig
from looptop.engine.config.types import Precision
from looptop.engine.errors import LooptopError, error_text
from looptop.engine.models.names import resolve
from looptop.engine.models.uses import index_of_label
from looptop.engine.models.weights import load_complete_model, load_part
from looptop.engine.ppo.data import Quality
from looptop.engine.ppo.fp16 import T5_TYPES
from looptop.engine.ppo.reward_function import Function, checked
from looptop.engine.text import visible

BATCH_SIZE = 64
"""Texts that a classifier scores together."""

Scores = dict[str, list[float]]
"""Scores by the name of the reward's part: one number per sample."""


class Scorer(Protocol):
    """Gives every response a score."""

    def __call__(self, queries: Sequence[str], responses: Sequence[str]) -> list[float]:
        """A number for each response."""
        ...


@dataclass(frozen=True)
class Reward:
    """The parts of a reward, loaded.

    Attributes:
        parts: The parts' configurations, in order.
        scorers: One scorer for each part.
    """

    parts: tuple[RewardConfig, ...]
    scorers: tuple[Scorer, ...]

    @classmethod
    def load(
        cls, parts: Sequence[RewardConfig], device: torch.device | str = "cpu", precision: Precision = "fp32"
    ) -> Reward:
        """Loads every part.

        Args:
            parts: Their configurations.
            device: Where classifiers compute.
            precision: What they compute in; scores are in fp32 always.

        Raises:
            LooptopError: A model or function cannot be loaded, or a classifier lacks the label.
        """
        return cls(tuple(parts), tuple(_scorer(part, device, precision) for part in parts))

    def score(self, queries: Sequence[str], responses: Sequence[str]) -> Scores:
        """The scores of every part, not yet weighted.

        Raises:
            LooptopError: A score is not a finite number or too large, or there are more or fewer than responses.
        """
        return {
            part.name: checked(part.name, scorer(queries, responses), responses, part.weight)
            for part, scorer in zip(self.parts, self.scorers, strict=True)
        }

    def total(self, scores: Scores) -> list[float]:
        """The weighted sum of each sample's scores."""
        columns = [[part.weight * score for score in scores[part.name]] for part in self.parts]
        return [sum(row) for row in zip(*columns, strict=True)]


def rewards_of(reward: Reward, scores: Scores, ended: Sequence[bool], settings: GenerationConfig) -> list[float]:
    """The weighted sums of scores, minus the penalty of responses that were cut."""
    return [
        total - (0.0 if complete else settings.cut_penalty)
        for total, complete in zip(reward.total(scores), ended, strict=True)
    ]


def qualities(quality: Quality | None, queries: Sequence[str], responses: Sequence[str]) -> list[dict[str, float]]:
    """The figures of quality of each response, by name.

    They are those of `quality`, the data's own judge, if it has one, and `distinct`: the share of the other responses
    that differ from this one; 1 if there are no others.
    """
    others = len(responses) - 1
    seen = Counter(responses)
    return [
        (quality(query, text) if quality else {}) | {"distinct": 1 - (seen[text] - 1) / others if others else 1.0}
        for query, text in zip(queries, responses, strict=True)
    ]


def mean_quality(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure of quality over samples, as `quality/NAME`; without `distinct`."""
    names = [name for name in (rows[0] if rows else {}) if name != "distinct"]
    return {f"quality/{name}": statistics.fmean(row[name] for row in rows) for name in names}


class Classifier:
    """The logit of one label of a sequence classifier.

    Args:
        model: Any `...ForSequenceClassification`, on its device.
        tokenizer: Its tokenizer.
        label: The label's name or number.
        reads: `response`, or `both` for query and response.
        max_tokens: Longer texts are cut at their end.
        precision: What it computes in; with fp16 a T5, whose activations overflow in it, computes in fp32.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        label: str,
        reads: str = "response",
        max_tokens: int = 512,
        precision: Precision = "fp32",
    ) -> None:
        self.model: Any = model.requires_grad_(False)
        self.model.eval()
        self.tokenizer: Any = tokenizer
        if self.tokenizer.pad_token is None:  # A decoder's tokenizer; the model must know where a text ends.
            self.tokenizer.pad_token = self.tokenizer.eos_token
            self.model.config.pad_token_id = self.tokenizer.pad_token_id
        self.label_index = index_of_label(label, self.model.config.id2label, self.model.config.label2id)
        self.reads = reads
        self.max_tokens = min(max_tokens, max_input_length(self.model.config, tokenizer))
        overflows = precision == "fp16" and self.model.config.model_type in T5_TYPES
        self.precision: Precision = "fp32" if overflows else precision

    @classmethod
    def load(cls, part: RewardConfig, device: torch.device | str, precision: Precision = "fp32") -> Classifier:
        """Loads the classifier that a part of the reward names.

        Raises:
            LooptopError: It does not exist, is incomplete (an encoder alone has no head), or lacks the label.
        """
        try:
            source = resolve(part.model)
            model = load_complete_model(AutoModelForSequenceClassification.from_pretrained, source)
            tokenizer = load_part(AutoTokenizer.from_pretrained, source, "the tokenizer in")
        except (OSError, ValueError) as error:
            raise LooptopError(
                f"the reward model {part.name} ({visible(part.model)}) cannot be loaded: {error_text(error)};"
                " name a sequence classifier in a local folder or check your connection to the Hugging Face hub"
            ) from None
        try:
            return cls(model.to(device), tokenizer, part.label, part.reads, part.max_tokens, precision)
        except LooptopError as error:
            raise LooptopError(f"the reward model {part.name} ({visible(part.model)}): {error}") from None

    @torch.inference_mode()
    def __call__(self, queries: Sequence[str], responses: Sequence[str]) -> list[float]:
        """The label's logit for each response."""
        scores: list[float] = []
        for first in range(0, len(responses), BATCH_SIZE):
            rows = slice(first, first + BATCH_SIZE)
            inputs = classifier_inputs(self.tokenizer, queries[rows], responses[rows], self.reads, self.max_tokens)
            padded = self.tokenizer.pad(inputs, return_tensors="pt").to(self.model.device)
            with self._autocast():
                logits = self.model(**padded).logits
            scores += logits[:, self.label_index].float().tolist()
        return scores

    def _autocast(self) -> AbstractContextManager[object]:
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.model.device.type, torch.bfloat16 if self.precision == "bf16" else torch.float16)


def classifier_inputs(
    tokenizer: Any, queries: Sequence[str], responses: Sequence[str], reads: str, max_tokens: int
) -> dict[str, Any]:
    """Queries and responses as a classifier's input, tokenised, not padded.

    Args:
        tokenizer: The classifier's.
        queries: One query for each response.
        responses: The texts to score.
        reads: `response`, or `both`: query and response as a pair.
        max_tokens: A longer input is cut at its end; of a pair, the longer text is cut.
    """
    texts = (list(responses),) if reads == "response" else (list(queries), list(responses))
    encoded: dict[str, Any] = tokenizer(*texts, truncation=True, max_length=max_tokens)
    for row, ids in enumerate(encoded["input_ids"]):
        if not len(ids):  # A tokenizer that adds nothing made no token of an empty text: a model needs at least one.
            _put_one_token(encoded, row, _any_special_id(tokenizer))
    return encoded


def _put_one_token(encoded: dict[str, Any], row: int, token: int) -> None:
    for name, rows in encoded.items():
        rows[row] = [{"input_ids": token, "attention_mask": 1}.get(name, 0)]


def _any_special_id(tokenizer: Any) -> int:
    """An id for an empty text: the one that ends texts, if the tokenizer has one."""
    names = ("eos_token_id", "sep_token_id", "cls_token_id", "bos_token_id", "pad_token_id", "unk_token_id")
    return next((int(number) for name in names if (number := getattr(tokenizer, name, None)) is not None), 0)


class Person:
    """Gives 0 to each response; the person's ratings are added later, while the batch is held."""

    def __call__(self, queries: Sequence[str], responses: Sequence[str]) -> list[float]:
        """A zero for each response."""
        return [0.0] * len(responses)


def _scorer(part: RewardConfig, device: torch.device | str, precision: Precision) -> Scorer:
    if part.model:
        return Classifier.load(part, device, precision)
    return Function(part.function) if part.function else Person()


def max_input_length(config: Any, tokenizer: Any) -> int:
    """The largest number of tokens that a classifier takes; RoBERTa's positions begin after its padding id.

    Raises:
        LooptopError: A RoBERTa has no padding id.
    """
    positions = getattr(config, "max_position_embeddings", None) or 2**30
    if config.model_type in ("roberta", "xlm-roberta", "camembert"):
        if config.pad_token_id is None:
            raise LooptopError("the classifier's config.json has no pad_token_id, after which positions begin; add it")
        positions -= config.pad_token_id + 1
    return min(int(positions), int(tokenizer.model_max_length))
