"""The language model that PPO tunes: a T5 (encoder-decoder) or a GPT-2 (decoder-only) with a value head.

A policy is the transformers model itself with one more linear layer, `v_head.summary`, on the decoder's last state. It
generates, trains and is saved like any other model. A saved folder also opens as a plain T5 or GPT-2, which ignores the
value head; a plain model's folder opens as a policy whose values start at 0. Weights have the names that TRL gave them.

Load policies with `loading.load_policy`: transformers 5 ties the head of a T5 that is built from a configuration to its
embeddings, whatever the configuration says.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from transformers import (
    DynamicCache,
    EncoderDecoderCache,
    GPT2Config,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
)

from looptop.engine.ppo.algorithm import entropy, token_logprobs

NUMBERS_PER_CHUNK = 2**19
"""Logits that are normalised together on a CPU: 2 MiB in float32, which fits into its cache with a copy."""


class PolicyOutput(NamedTuple):
    """A policy's outputs for given responses; column t belongs to the response's t-th generated token.

    Attributes:
        logprobs: `[batch, response length]`, 0 where the response has no token.
        values: `[batch, response length]`, of the state before the token; 0 where the response has none.
        entropy: `[batch, response length]`, of this model's distribution of the token, without gradient.
        log_distribution: On request: `[tokens of all responses, vocabulary]`; those of the first response come first.
    """

    logprobs: Tensor
    values: Tensor
    entropy: Tensor
    log_distribution: Tensor | None = None


class ValueHead(nn.Module):
    """One linear layer, `[..., hidden size]` to `[...]`; its values are 0 before training."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.summary = nn.Linear(hidden_size, 1)
        self.reset()

    def reset(self) -> None:
        """Sets weight and bias to 0."""
        nn.init.zeros_(self.summary.weight)
        nn.init.zeros_(self.summary.bias)

    def forward(self, states: Tensor) -> Tensor:
        """The value of each state."""
        values: Tensor = self.summary(states).squeeze(-1)
        return values


class PolicyMixin:
    """The part that both families share; each defines its states, its logits and its incremental decoder."""

    start_tokens: ClassVar[int]
    """Tokens that the decoder receives before the response: 1 for T5, 0 for GPT-2."""
    v_head: ValueHead

    def response_states(
        self, query_ids: Tensor, query_mask: Tensor, response_ids: Tensor, response_mask: Tensor
    ) -> Tensor:
        """The decoder's last state before each token of the responses: `[batch, response length, hidden size]`."""
        raise NotImplementedError

    def start_decoding(self, query_ids: Tensor, query_mask: Tensor) -> IncrementalDecoder:
        """Starts responses to queries, `[batch, query length]`, padded as in `Batch`."""
        raise NotImplementedError

    def logits(self, states: Tensor) -> Tensor:
        """The next token's logits: `[..., hidden size]` to `[..., vocabulary]`."""
        raise NotImplementedError

    def forward_responses(
        self,
        query_ids: Tensor,
        query_mask: Tensor,
        response_ids: Tensor,
        response_mask: Tensor,
        return_distribution: bool = False,
    ) -> PolicyOutput:
        """Log-probabilities, values and entropies of given responses.

        Call it through the model's `forward` (pass `response_ids`), so that wrappers of the model see the call. Logits
        are computed only where a response has a token.

        Args:
            query_ids: `[batch, query length]`, padded as in `Batch`.
            query_mask: The same shape, true where there is a token.
            response_ids: `[batch, response length]`, the generated tokens alone, padded on the right.
            response_mask: The same shape, true where there is a token.
            return_distribution: Also return the log-probabilities of the whole vocabulary.
        """
        states = self.response_states(query_ids, query_mask, response_ids, response_mask)[response_mask]
        logits = self.logits(states)
        logprobs, entropies = logprobs_and_entropies(logits, response_ids[response_mask])
        zeros = logprobs.new_zeros(response_ids.shape)
        return PolicyOutput(
            logprobs=zeros.masked_scatter(response_mask, logprobs),
            values=zeros.masked_scatter(response_mask, self.v_head(states).float()),
            entropy=zeros.masked_scatter(response_mask, entropies),
            log_distribution=logits.float().log_softmax(-1) if return_distribution else None,
        )

    def _init_weights(self, module: nn.Module) -> None:
        # Called for weights missing from a folder, and by the base class before the value head exists.
        if getattr(self, "v_head", None) is not None and module is self.v_head.summary:
            self.v_head.reset()
        else:
            super()._init_weights(module)  # type: ignore[misc]


class T5Policy(PolicyMixin, T5ForConditionalGeneration):
    """An encoder-decoder policy: the encoder reads the query, the decoder writes the response."""

    start_tokens = 1

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.v_head = ValueHead(config.d_model)
        self.decoder_type: Callable[[T5ForConditionalGeneration, Tensor, Tensor], IncrementalDecoder] = T5Decoder
        """The class of the decoder that `start_decoding` returns; `fast_t5` replaces it."""

    @functools.wraps(T5ForConditionalGeneration.forward)
    def forward(  # type: ignore[override]
        self, *args: Any, response_ids: Tensor | None = None, **kwargs: Any
    ) -> Any:
        """The model's own forward pass or, given `response_ids`, `forward_responses`."""
        if response_ids is None:
            return super().forward(*args, **kwargs)
        return _forward_responses(self, response_ids, **kwargs)

    def response_states(
        self, query_ids: Tensor, query_mask: Tensor, response_ids: Tensor, response_mask: Tensor
    ) -> Tensor:
        """The decoder's last state before each token of the responses."""
        memory = self.encoder(input_ids=query_ids, attention_mask=query_mask).last_hidden_state
        start = torch.full_like(response_ids[:, :1], self.config.decoder_start_token_id)
        # No mask is needed: padding comes after a response's end, where causal attention ignores it. The state of the
        # last token is not needed either; it is computed so that sums are made in the order in which TRL made them.
        states: Tensor = self.decoder(
            input_ids=torch.cat([start, response_ids], dim=1),
            encoder_hidden_states=memory,
            encoder_attention_mask=query_mask,
            use_cache=False,
        ).last_hidden_state
        return states[:, :-1]

    def start_decoding(self, query_ids: Tensor, query_mask: Tensor) -> IncrementalDecoder:
        """Starts responses to queries."""
        return self.decoder_type(self, query_ids, query_mask)

    def logits(self, states: Tensor) -> Tensor:
        """The next token's logits."""
        if self.config.scale_decoder_outputs:
            states = states * self.model_dim**-0.5
        logits: Tensor = self.lm_head(states)
        return logits


class GPT2Policy(PolicyMixin, GPT2LMHeadModel):
    """A decoder-only policy: the response continues the query."""

    start_tokens = 0

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        self.v_head = ValueHead(config.hidden_size)

    @functools.wraps(GPT2LMHeadModel.forward)
    def forward(  # type: ignore[override]
        self, *args: Any, response_ids: Tensor | None = None, **kwargs: Any
    ) -> Any:
        """The model's own forward pass or, given `response_ids`, `forward_responses`."""
        if response_ids is None:
            return super().forward(*args, **kwargs)
        return _forward_responses(self, response_ids, **kwargs)

    def response_states(
        self, query_ids: Tensor, query_mask: Tensor, response_ids: Tensor, response_mask: Tensor
    ) -> Tensor:
        """The decoder's last state before each token of the responses."""
        mask = torch.cat([query_mask, response_mask], dim=1).long()
        states: Tensor = self.transformer(
            torch.cat([query_ids, response_ids], dim=1),
            attention_mask=mask,
            position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
            use_cache=False,
        ).last_hidden_state
        # The state before the first token is that of the query's last token: queries are padded on the left.
        return states[:, query_ids.shape[1] - 1 : -1]

    def start_decoding(self, query_ids: Tensor, query_mask: Tensor) -> IncrementalDecoder:
        """Starts responses to queries."""
        return GPT2Decoder(self, query_ids, query_mask)

    def logits(self, states: Tensor) -> Tensor:
        """The next token's logits."""
        logits: Tensor = self.lm_head(states)
        return logits


def _forward_responses(
    policy: PolicyMixin,
    response_ids: Tensor,
    input_ids: Tensor,
    attention_mask: Tensor,
    response_mask: Tensor,
    return_distribution: bool = False,
    **_: Any,
) -> PolicyOutput:
    # Some of peft's wrappers pass more arguments, all of them None.
    return policy.forward_responses(input_ids, attention_mask, response_ids, response_mask, return_distribution)


Policy: TypeAlias = T5Policy | GPT2Policy

POLICIES: dict[str, type[T5Policy] | type[GPT2Policy]] = {"t5": T5Policy, "gpt2": GPT2Policy}
"""Model type, as configurations name it, to policy."""


# One token at a time --------------------------------------------------------------------------------------------------


class IncrementalDecoder(ABC):
    """Decodes responses one token at a time and caches what earlier tokens computed; the caller turns dropout off."""

    @abstractmethod
    def next_states(self, tokens: Tensor | None) -> Tensor:
        """The decoder's last states, `[batch, hidden size]`, before the next token.

        Args:
            tokens: The tokens chosen last, `[batch]`; None at the start.
        """


class T5Decoder(IncrementalDecoder):
    """transformers' own decoder and cache.

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

    def next_states(self, tokens: Tensor | None) -> Tensor:
        """The decoder's last states before the next token."""
        out = self._decoder(
            input_ids=(self._start if tokens is None else tokens).unsqueeze(1),
            encoder_hidden_states=self._memory,
            encoder_attention_mask=self._query_mask,
            past_key_values=self._cache,
            use_cache=True,
        )
        last: Tensor = out.last_hidden_state[:, -1]
        return last


class GPT2Decoder(IncrementalDecoder):
    """transformers' own decoder and cache; the first step reads the queries.

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

    def next_states(self, tokens: Tensor | None) -> Tensor:
        """The decoder's last states before the next token."""
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


# Log-probabilities and entropies --------------------------------------------------------------------------------------


def logprobs_and_entropies(logits: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Each token's log-probability, and the entropy of its distribution.

    On a CPU the distributions of all tokens never exist at once in float32: for 400 tokens of FLAN-T5 they are 50 MB,
    which six operations would each read from memory and write back. A few rows at a time go through all of them while
    they are in the cache.

    Args:
        logits: `[tokens, vocabulary]`, in any floating type.
        token_ids: `[tokens]`.

    Returns:
        Log-probabilities, which carry the gradient, and entropies in nats, which carry none; float32, `[tokens]`.
    """
    if torch.is_grad_enabled():
        both: tuple[Tensor, Tensor] = _LogprobsAndEntropies.apply(logits, token_ids)  # type: ignore[no-untyped-call]
        return both
    return _in_chunks(logits, token_ids)


def _in_chunks(logits: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor]:
    logprobs, entropies = logits.new_empty(2, len(logits), dtype=torch.float32)
    for rows in _chunks(logits):
        log_distribution = logits[rows].float().log_softmax(-1)
        logprobs[rows] = token_logprobs(log_distribution, token_ids[rows])
        entropies[rows] = entropy(log_distribution)
    return logprobs, entropies


def _chunks(logits: Tensor) -> Iterator[slice]:
    # Only a CPU's cache is so small; on other devices many small operations take longer.
    size = max(1, NUMBERS_PER_CHUNK // logits.shape[1]) if logits.device.type == "cpu" else max(1, len(logits))
    return (slice(begin, begin + size) for begin in range(0, len(logits), size))


class _LogprobsAndEntropies(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        logprobs, entropies = _in_chunks(logits, token_ids)
        ctx.save_for_backward(logits, token_ids)
        ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None]:
        logits, token_ids = ctx.saved_tensors
        to_logits = torch.empty_like(logits)
        # A log-probability is its logit minus the logarithm of the sum of all exponentials, so its gradient is 1 at the
        # token, minus every token's probability. These are recomputed exactly as torch computes them.
        for rows in _chunks(logits):
            probabilities = logits[rows].float().log_softmax(-1).exp_()
            part = probabilities.mul_(-gradient[rows, None])
            to_logits[rows] = part.scatter_add_(1, token_ids[rows, None], gradient[rows, None])
        return to_logits, None


# Dropout --------------------------------------------------------------------------------------------------------------


@contextmanager
def without_dropout(*models: object) -> Iterator[None]:
    """Evaluation mode while the block runs: with dropout, the same weights would give a ratio that is not 1."""
    modules = [(model, model.training) for model in models if isinstance(model, nn.Module)]
    for module, _ in modules:
        module.eval()
    try:
        yield
    finally:
        for module, training in modules:
            module.train(training)
