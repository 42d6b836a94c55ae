"""Decodes answers from the fused states of question and image: greedily for thousands, exactly for a single question.

Both start from memory (the result of `VqaModel.encode`), so that kept features of a frozen encoder work as well. An
answer's probability is the product of the probabilities of its tokens and of its end. Keys and values of earlier answer
tokens are not cached, since answers have one to three tokens; those of a long memory are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache
from transformers.cache_utils import DynamicLayer

from looptop.engine.vqa.model.answer_search import Search, Tokens, max_expansions
from looptop.engine.vqa.model.vqa_model import VqaModel

MAX_ANSWER_TOKENS = 16
"""The greatest length of an answer; the longest of VQA v2's common answers has 8 tokens."""

MAX_ROWS = 256
"""The greatest number of prefixes in one pass of the decoder."""


def longest_answer(model: VqaModel, max_tokens: int = MAX_ANSWER_TOKENS) -> int:
    """The greatest length of an answer in tokens: the begin token takes one of the decoder's positions."""
    positions = getattr(model.decoder.config, "max_position_embeddings", None)
    return min(max_tokens, positions - 1) if positions else max_tokens


@dataclass
class DecodedAnswers:
    """Answers as token ids."""

    ids: Tensor
    """`[batch, longest answer]`, without begin token; shorter answers are padded with the end token."""
    confidences: Tensor
    """`[batch]`, the probability of each answer, its end included."""


class AnswerDecoder:
    """Runs the decoder on the encoders' states: gives the logits of the token after a prefix.

    Args:
        model: In evaluation mode.
        states: `[batch, memory length, decoder width]`, from `VqaModel.encode`.
        mask: `[batch, memory length]`, or None if all states count.
    """

    def __init__(self, model: VqaModel, states: Tensor, mask: Tensor | None) -> None:
        self.model = model
        self.states = states
        self.mask = mask
        self._keys_and_values: list[tuple[Tensor, Tensor]] = []

    def next_logits(self, rows: Tensor | None, prefixes: Tensor, last: Tensor | None = None) -> Tensor:
        """The logits of the token after each prefix.

        Args:
            rows: `[n]`, the row of the memory for each prefix; None for all rows, in order.
            prefixes: `[n, length]` token ids, the begin token first, padded at the end with any token.
            last: `[n]`, the index of each prefix's last token; None if no prefix is padded.

        Returns:
            `[n, vocabulary]`.
        """
        states, mask = self.states, self.mask
        if rows is not None:
            states = states[rows]
            mask = None if mask is None else mask[rows]
        # Keys and values of one vector cost nothing; of several hundred, they are most of a pass.
        cache = self._cache(rows) if states.shape[1] > 1 else None
        out = self.model.decoder(
            input_ids=prefixes,
            encoder_hidden_states=states,
            encoder_attention_mask=mask,
            use_cache=cache is not None,
            past_key_values=cache,
            logits_to_keep=1 if last is None else last.unsqueeze(1),
        )
        if cache is not None and rows is None and not self._keys_and_values:
            layers: list[Any] = cache.cross_attention_cache.layers
            self._keys_and_values = [(layer.keys, layer.values) for layer in layers]
        logits: Tensor = out.logits[:, 0]
        return logits

    def _cache(self, rows: Tensor | None) -> EncoderDecoderCache:
        """A cache with the cross-attention's keys and values, once a pass over all rows has computed them."""
        cross = DynamicCache()
        for keys, values in self._keys_and_values:
            layer = DynamicLayer()
            layer.lazy_initialization(keys, values)
            # Assigned, because an update would copy.
            layer.keys, layer.values = (keys, values) if rows is None else (keys[rows], values[rows])
            cross.layers.append(layer)
        return EncoderDecoderCache(DynamicCache(), cross)


@torch.inference_mode()
def greedy(
    model: VqaModel,
    memory: Tensor,
    memory_mask: Tensor | None,
    begin_id: int,
    end_id: int,
    max_tokens: int = MAX_ANSWER_TOKENS,
) -> DecodedAnswers:
    """Takes the most probable token at each step, for a whole batch; used to measure accuracy on many questions.

    If the model is sure, this is the answer of `best_answers`. If not, a less probable first token may lead to a more
    probable answer, which this does not find. In both, an answer is never empty, and one that reaches the greatest
    length ends there.

    Args:
        model: In evaluation mode.
        memory: `[batch, memory length, decoder width]`.
        memory_mask: `[batch, memory length]` or None.
        begin_id: The token that every answer begins with.
        end_id: The token that ends an answer.
        max_tokens: An answer's greatest length; at most `longest_answer` of the model.
    """
    states = AnswerDecoder(model, memory, memory_mask)
    batch = memory.shape[0]
    ids = torch.full((batch, 1 + max_tokens), end_id, dtype=torch.long, device=memory.device)
    ids[:, 0] = begin_id
    log_probs = torch.zeros(batch, dtype=torch.float32, device=memory.device)
    open_rows = None
    """Rows whose answer has not ended; None for all."""
    for step in range(max_tokens + 1):
        prefixes = ids[:, : step + 1] if open_rows is None else ids[open_rows, : step + 1]
        next_log_probs = states.next_logits(open_rows, prefixes).float().log_softmax(dim=-1)
        if step == max_tokens:
            best = torch.full_like(prefixes[:, 0], end_id)
        elif step == 0:
            allowed = next_log_probs.clone()
            allowed[:, end_id] = -torch.inf
            best = allowed.argmax(dim=-1)
        else:
            best = next_log_probs.argmax(dim=-1)
        gained = next_log_probs.gather(1, best.unsqueeze(1)).squeeze(1)
        ended = best == end_id
        if open_rows is None:
            log_probs += gained
        else:
            log_probs[open_rows] += gained
        if step == max_tokens:
            break
        if open_rows is None:
            ids[:, step + 1] = best
            open_rows = torch.arange(batch, device=memory.device) if ended.any() else None
        else:
            ids[open_rows, step + 1] = best
        if open_rows is not None:
            open_rows = open_rows[~ended]
            if not len(open_rows):
                break
    longest = int((ids[:, 1:] != end_id).sum(dim=1).max())
    return DecodedAnswers(ids[:, 1 : 1 + longest], log_probs.exp())


@torch.inference_mode()
def best_answers(
    model: VqaModel,
    memory: Tensor,
    memory_mask: Tensor | None,
    begin_id: int,
    end_id: int,
    text_of: Callable[[Tokens], str],
    top: int = 1,
    max_tokens: int = MAX_ANSWER_TOKENS,
    limit: int | None = None,
) -> list[Search]:
    """Searches for the most probable answers of each row, with all rows in the same passes.

    Args:
        model: In evaluation mode.
        memory: `[batch, memory length, decoder width]`.
        memory_mask: `[batch, memory length]` or None.
        begin_id: The token that every answer begins with.
        end_id: The token that ends an answer.
        text_of: Decodes tokens; answers with the same text count as one.
        top: The number of answers for each row.
        max_tokens: An answer's greatest length; at most `longest_answer` of the model.
        limit: The number of expansions after which a row's search stops; see `answer_search.max_expansions`.

    Returns:
        One finished search for each row: its `results()`, and whether they are `exact`.
    """
    states = AnswerDecoder(model, memory, memory_mask)
    limit = max_expansions(top) if limit is None else limit
    searches = [Search(top, text_of, max_tokens, limit) for _ in range(memory.shape[0])]
    while True:
        taken = [(row, prefix) for row, search in enumerate(searches) for prefix in search.take_prefixes()]
        if not taken:
            return searches
        for begin in range(0, len(taken), MAX_ROWS):
            some = taken[begin : begin + MAX_ROWS]
            log_probs = _next_log_probs(states, some, begin_id, end_id)
            ends = log_probs[:, end_id].tolist()
            log_probs[:, end_id] = -torch.inf
            # No more next tokens can be taken than there are expansions.
            best = log_probs.topk(min(limit, log_probs.shape[1]), dim=-1)
            values, tokens = best.values.tolist(), best.indices.tolist()
            for (row, prefix), end, next_tokens, next_log_probs in zip(some, ends, tokens, values, strict=True):
                searches[row].expand(prefix, end, next_tokens, next_log_probs)


def _next_log_probs(
    memory: AnswerDecoder, prefixes: Sequence[tuple[int, Tokens]], begin_id: int, end_id: int
) -> Tensor:
    """`[n, vocabulary]` on the CPU, in 64 bits, so that the probabilities of all answers sum to at most 1."""
    device = memory.states.device
    lengths = [len(prefix) for _, prefix in prefixes]
    longest = max(lengths)
    ids = torch.tensor(
        [[begin_id, *prefix, *[end_id] * (longest - len(prefix))] for _, prefix in prefixes], device=device
    )
    all_in_order = len(prefixes) == len(memory.states) and all(row == index for index, (row, _) in enumerate(prefixes))
    rows = None if all_in_order else torch.tensor([row for row, _ in prefixes], device=device)
    last = None if min(lengths) == longest else torch.tensor(lengths, device=device)
    return memory.next_logits(rows, ids, last).cpu().double().log_softmax(dim=-1)
