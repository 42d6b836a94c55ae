"""Goes on with responses token by token, keeping what was computed before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache, GPT2LMHeadModel, T5ForConditionalGeneration

from looptop.engine.ppo.t5 import weigh


class ResponseWriter(ABC):
    """Responses that are being written, dropout off."""

    @abstractmethod
    def advance(self, tokens: Tensor | None) -> Tensor:
        """The decoder's last states, `[batch, hidden size]`, before the next token.

        Args:
            tokens: Those that were chosen last, `[batch]`; None at the beginning.
        """


class T5Writer(ResponseWriter):
    """The encoder has read the queries; the decoder goes on. For processors.

    It calls the decoder's layers itself. What transformers prepares for each call (masks, a cache, zeros in place of a
    bias) would take longer there than the arithmetic of one token.

    Args:
        policy: A T5.
        query_ids: `[batch, query length]`, padded on the right.
        query_mask: The same shape, true where there is a token.
    """

    def __init__(self, policy: T5ForConditionalGeneration, query_ids: Tensor, query_mask: Tensor) -> None:
        # Any: torch types every part of a module as a tensor or a module.
        self._decoder: Any = policy.decoder
        self._start = torch.full_like(query_ids[:, 0], policy.config.decoder_start_token_id)
        self._hidden = None if query_mask.all() else ~query_mask[:, None, None, :]
        self._written: list[tuple[Tensor, Tensor]] = []
        self._heads = policy.config.num_heads
        memory = policy.encoder(input_ids=query_ids, attention_mask=query_mask).last_hidden_state
        self._read = self._keys_and_values_of(memory)

    def advance(self, tokens: Tensor | None) -> Tensor:
        """See `ResponseWriter`."""
        states: Tensor = self._decoder.embed_tokens((self._start if tokens is None else tokens).unsqueeze(1))
        bias = self._bias()
        written = []
        for number, block in enumerate(self._decoder.block):
            itself, cross, feed_forward = block.layer
            normed = itself.layer_norm(states)
            past = self._keys_and_values(itself.SelfAttention, normed)
            if self._written:
                keys, values = self._written[number]
                past = torch.cat([keys, past[0]], 2), torch.cat([values, past[1]], 2)
            written.append(past)
            states = states + self._attended(itself.SelfAttention, normed, past, bias, None)
            normed = cross.layer_norm(states)
            states = states + self._attended(cross.EncDecAttention, normed, self._read[number], None, self._hidden)
            states = feed_forward(states)
        self._written = written
        last: Tensor = self._decoder.final_layer_norm(states)[:, -1]
        return last

    def _bias(self) -> Tensor:
        """The next token's, to itself and all before it: `[1, heads, 1, tokens]`."""
        before = self._written[0][0].shape[2] if self._written else 0
        attention = self._decoder.block[0].layer[0].SelfAttention
        bias: Tensor = attention.compute_bias(1, before + 1, past_seen_tokens=before)
        return bias

    def _keys_and_values_of(self, memory: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The queries', which every step reads; an item a layer."""
        return [self._keys_and_values(block.layer[1].EncDecAttention, memory) for block in self._decoder.block]

    def _keys_and_values(self, attention: Any, states: Tensor) -> tuple[Tensor, Tensor]:
        """`[batch, heads, tokens, size of a head]` each, laid out as every further step reads them."""
        return self._by_head(attention.k(states)).float().contiguous(), self._by_head(attention.v(states)).contiguous()

    def _attended(
        self, attention: Any, states: Tensor, past: tuple[Tensor, Tensor], bias: Tensor | None, hidden: Tensor | None
    ) -> Tensor:
        attended, _ = weigh(self._by_head(attention.q(states)), *past, bias, hidden)
        out: Tensor = attention.o(attended.transpose(1, 2).flatten(2))
        return out

    def _by_head(self, states: Tensor) -> Tensor:
        by_head: Tensor = states.unflatten(2, (self._heads, -1)).transpose(1, 2)
        return by_head


class T5CacheWriter(ResponseWriter):
    """Writes as `T5Writer` does, through transformers' own decoder and cache. For all devices but processors.

    Args:
        policy: A T5.
        query_ids: `[batch, query length]`, padded on the right.
        query_mask: The same shape, true where there is a token.
    """

    def __init__(self, policy: T5ForConditionalGeneration, query_ids: Tensor, query_mask: Tensor) -> None:
        self._decoder: Any = policy.decoder
        self._start = torch.full_like(query_ids[:, 0], policy.config.decoder_start_token_id)
        self._query_mask = query_mask
        self._memory = policy.encoder(input_ids=query_ids, attention_mask=query_mask).last_hidden_state
        config = policy.decoder.config
        self._cache = EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))

    def advance(self, tokens: Tensor | None) -> Tensor:
        """See `ResponseWriter`."""
        out = self._decoder(
            input_ids=(self._start if tokens is None else tokens).unsqueeze(1),
            encoder_hidden_states=self._memory,
            encoder_attention_mask=self._query_mask,
            past_key_values=self._cache,
            use_cache=True,
        )
        last: Tensor = out.last_hidden_state[:, -1]
        return last


class GPT2Writer(ResponseWriter):
    """The queries are read with the first step.

    Args:
        policy: A GPT-2.
        query_ids: `[batch, query length]`, padded on the left.
        query_mask: The same shape, true where there is a token.
    """

    def __init__(self, policy: GPT2LMHeadModel, query_ids: Tensor, query_mask: Tensor) -> None:
        self._transformer = policy.transformer
        self._ids = query_ids
        self._mask = query_mask.long()
        self._past: Any = None

    def advance(self, tokens: Tensor | None) -> Tensor:
        """See `ResponseWriter`."""
        if tokens is not None:
            self._ids = tokens.unsqueeze(1)
            self._mask = torch.cat([self._mask, torch.ones_like(self._ids)], dim=1)
        positions = (self._mask.cumsum(dim=1) - 1).clamp(min=0)[:, -self._ids.shape[1] :]
        out = self._transformer(
            self._ids,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._past,
            use_cache=True,
        )
        self._past = out.past_key_values
        last: Tensor = out.last_hidden_state[:, -1]
        return last
