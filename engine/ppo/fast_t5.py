"""T5's inner parts and its decoding loop for CPUs, in fewer passes over memory than transformers makes.

On a CPU, a T5 of this size spends as long between its matrix products as in them: transformers writes GELU as
eight operations and the norm as five, casts each activation once for every product that takes it, and computes
attention with a learned bias step by step in float32. `use_fast_kernels` replaces these parts in a loaded model; the
weights stay the same, under the same names. `model.kernels = "transformers"` leaves a policy as it is, and so does a
GPU, which has kernels of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu
from transformers import AttentionInterface, AttentionMaskInterface, T5ForConditionalGeneration
from transformers.activations import NewGELUActivation
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.models.t5.modeling_t5 import T5DenseGatedActDense, T5LayerNorm

from looptop.engine.models.fast_attention import biased_attention, causal_mask
from looptop.engine.ppo.policy import IncrementalDecoder, T5Policy

ATTENTION = "looptop_t5"
"""The name of this module's attention in transformers."""


def use_fast_kernels(policy: T5Policy) -> None:
    """Replaces norms, feed-forward layers, attention and the decoding loop of a policy on a CPU."""
    for module in list(policy.modules()):
        for name, part in list(module.named_children()):
            if type(part) is T5LayerNorm:
                setattr(module, name, Norm(part))
            elif type(part) is T5DenseGatedActDense and isinstance(part.act, NewGELUActivation):
                setattr(module, name, FeedForward(part))
    policy.set_attn_implementation(ATTENTION)
    policy.decoder_type = FastT5Decoder


class Norm(nn.Module):
    """T5's layer norm: scaled to a root mean square of 1; the mean is not subtracted.

    Args:
        original: transformers' norm, whose weight is used.
    """

    def __init__(self, original: T5LayerNorm) -> None:
        super().__init__()
        self.weight = original.weight
        self.variance_epsilon = original.variance_epsilon

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Normalises `[..., hidden size]`; under autocast the result has autocast's type."""
        kind = hidden_states.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden_states.dtype
        normed: Tensor = _Norm.apply(hidden_states, self.weight, self.variance_epsilon, dtype)  # type: ignore[no-untyped-call]
        return normed


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, epsilon: float, dtype: torch.dtype) -> Tensor:
        wide = states.float()
        norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        inverse = (norm.square() / wide.shape[-1] + epsilon).rsqrt()
        ctx.save_for_backward(states, weight, inverse)
        normed = wide * inverse
        return torch.mul(normed, weight, out=torch.empty_like(normed, dtype=dtype))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        states, weight, inverse = ctx.saved_tensors
        normed = states.float() * inverse
        by_weight = gradient.float() * normed
        along = torch.mv(by_weight.view(-1, len(weight)), weight).view_as(inverse) / len(weight)
        to_states = torch.addcmul(gradient * weight, normed, along, value=-1).mul_(inverse)
        return to_states.to(states.dtype), by_weight.view(-1, len(weight)).sum(0), None, None


class FeedForward(nn.Module):
    """T5's gated feed-forward layer, GELU in one operation.

    Args:
        original: transformers' layer, whose weights are used.
    """

    def __init__(self, original: T5DenseGatedActDense) -> None:
        super().__init__()
        self.wi_0, self.wi_1, self.wo = original.wi_0, original.wi_1, original.wo
        self.dropout = original.dropout

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Applies the layer to `[..., hidden size]`; the shape stays the same."""
        gated = gelu(self.wi_0(hidden_states), approximate="tanh") * self.wi_1(hidden_states)
        out: Tensor = self.wo(self.dropout(gated))
        return out


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    position_bias: Tensor | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attention with transformers' interface, `[batch, heads, tokens, size of a head]` each."""
    if query.device.type != "cpu" or dropout:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, position_bias=position_bias, **more
        )
    if module.is_decoder and not module.is_causal:
        position_bias = None  # T5 has none between decoder and encoder; transformers passes zeros.
    hidden_mask = None if attention_mask is None else ~attention_mask
    if hidden_mask is None and module.is_causal and query.shape[2] > 1:
        hidden_mask = causal_mask(query, key)
    attended = biased_attention(query, key, value, position_bias, hidden_mask)
    return attended.transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


class FastT5Decoder(IncrementalDecoder):
    """Calls the decoder's layers itself.

    What transformers prepares for each call (masks, a cache, zeros instead of a bias) takes longer on a CPU than
    the arithmetic of one token.

    Args:
        policy: A T5.
        query_ids: `[batch, query length]`, padded on the right.
        query_mask: The same shape, true where there is a token.
    """

    def __init__(self, policy: T5ForConditionalGeneration, query_ids: Tensor, query_mask: Tensor) -> None:
        # Any: torch types every part of a module as a tensor or a module.
        self._decoder: Any = policy.decoder
        self._start = torch.full_like(query_ids[:, 0], policy.config.decoder_start_token_id)
        self._hidden_mask = None if query_mask.all() else ~query_mask[:, None, None, :]
        self._past: list[tuple[Tensor, Tensor]] = []
        self._heads = policy.config.num_heads
        memory = policy.encoder(input_ids=query_ids, attention_mask=query_mask).last_hidden_state
        self._memory = self._keys_and_values_of(memory)

    def next_states(self, tokens: Tensor | None) -> Tensor:
        """The decoder's last states before the next token."""
        states: Tensor = self._decoder.embed_tokens((self._start if tokens is None else tokens).unsqueeze(1))
        bias = self._bias()
        pasts = []
        for number, block in enumerate(self._decoder.block):
            own, cross, feed_forward = block.layer
            normed = own.layer_norm(states)
            past = self._keys_and_values(own.SelfAttention, normed)
            if self._past:
                keys, values = self._past[number]
                past = torch.cat([keys, past[0]], 2), torch.cat([values, past[1]], 2)
            pasts.append(past)
            states = states + self._attended(own.SelfAttention, normed, past, bias, None)
            normed = cross.layer_norm(states)
            states = states + self._attended(
                cross.EncDecAttention, normed, self._memory[number], None, self._hidden_mask
            )
            states = feed_forward(states)
        self._past = pasts
        last: Tensor = self._decoder.final_layer_norm(states)[:, -1]
        return last

    def _bias(self) -> Tensor:
        """The next token's position bias to itself and all tokens before it: `[1, heads, 1, tokens]`."""
        before = self._past[0][0].shape[2] if self._past else 0
        attention = self._decoder.block[0].layer[0].SelfAttention
        bias: Tensor = attention.compute_bias(1, before + 1, past_seen_tokens=before)
        return bias

    def _keys_and_values_of(self, memory: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The keys and values of the encoded queries, which every step reads; one pair per layer."""
        return [self._keys_and_values(block.layer[1].EncDecAttention, memory) for block in self._decoder.block]

    def _keys_and_values(self, attention: Any, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, `[batch, heads, tokens, size of a head]` each, in the layout that later steps read."""
        return self._by_head(attention.k(states)).float().contiguous(), self._by_head(attention.v(states)).contiguous()

    def _attended(
        self,
        attention: Any,
        states: Tensor,
        past: tuple[Tensor, Tensor],
        bias: Tensor | None,
        hidden_mask: Tensor | None,
    ) -> Tensor:
        attended = biased_attention(self._by_head(attention.q(states)), *past, bias, hidden_mask)
        out: Tensor = attention.o(attended.transpose(1, 2).flatten(2))
        return out

    def _by_head(self, states: Tensor) -> Tensor:
        by_head: Tensor = states.unflatten(2, (self._heads, -1)).transpose(1, 2)
        return by_head
