"""Attention that is fast for short texts on a CPU: three plain operations on matrices.

torch's own attention is made for thousands of tokens. For a text of a few tokens on a CPU it is slower than plain
matrix products, and it gives a bias a gradient only through its own plain implementation in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def causal_mask(query: Tensor, key: Tensor) -> Tensor:
    """A causal mask, `[query tokens, key tokens]`: true where a key comes after its query.

    Args:
        query: `[batch, heads, query tokens, size of a head]`; the last query token is at the last key's position.
        key: `[batch, heads, key tokens, size of a head]`.
    """
    tokens, past_tokens = query.shape[2], key.shape[2] - query.shape[2]
    return torch.ones(tokens, key.shape[2], dtype=torch.bool, device=query.device).triu(past_tokens + 1)


def attention_weights(
    query: Tensor,
    key: Tensor,
    bias: Tensor | None = None,
    hidden_mask: Tensor | None = None,
    scaling: float = 1.0,
) -> Tensor:
    """The softmax of the scores, `[batch, heads, query tokens, key tokens]`, computed in the type of query and key.

    Args:
        query: `[batch, heads, query tokens, size of a head]`.
        key: `[batch, heads, key tokens, size of a head]`.
        bias: Added to the scores; of a shape that can be broadcast to theirs.
        hidden_mask: True where a key must not be seen; of a shape that can be broadcast to the scores'.
        scaling: The scores are multiplied by this first.
    """
    scores = query @ key.transpose(2, 3)
    # In place: no gradient needs the earlier values of the scores.
    if scaling != 1.0:
        scores *= scaling
    if bias is not None:
        scores += bias
    if hidden_mask is not None:
        scores.masked_fill_(hidden_mask, torch.finfo(scores.dtype).min)
    return scores.softmax(-1)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    hidden_mask: Tensor | None = None,
    scaling: float = 1.0,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Attention with ordinary gradients.

    Args:
        query: `[batch, heads, query tokens, size of a head]`.
        key: `[batch, heads, key tokens, size of a head]`.
        value: The same shape as the key.
        hidden_mask: True where a key must not be seen, as for `attention_weights`.
        scaling: The factor of the scores, as for `attention_weights`.
        dropout: The share of weights that are set to 0.

    Returns:
        The attended values, of the query's shape, and the weights after dropout.
    """
    weights = functional.dropout(
        attention_weights(query, key, None, hidden_mask, scaling), dropout, training=dropout > 0
    )
    return weights @ value, weights


def biased_attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, hidden_mask: Tensor | None
) -> Tensor:
    """Attention with a bias that is learned, as T5 has it: scores and softmax in float32, the rest in the query's type.

    Args:
        query: `[batch, heads, query tokens, size of a head]`.
        key: `[batch, heads, key tokens, size of a head]`.
        value: The same shape as the key.
        bias: `[1, heads, query tokens, key tokens]`, added to the scores.
        hidden_mask: True where a key must not be seen, as for `attention_weights`.
    """
    if torch.is_grad_enabled():
        attended: Tensor = _BiasedAttention.apply(query, key, value, bias, hidden_mask)  # type: ignore[no-untyped-call]
        return attended
    return _biased(query, key, value, bias, hidden_mask)[0]


def _biased(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, hidden_mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    with torch.autocast(query.device.type, enabled=False):
        weights = attention_weights(query.float(), key.float(), bias, hidden_mask).to(query.dtype)
        return weights @ value, weights


class _BiasedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, hidden_mask: Tensor | None
    ) -> Tensor:
        attended, weights = _biased(query, key, value, bias, hidden_mask)
        ctx.save_for_backward(query, key, value, weights)
        return attended

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, weights = ctx.saved_tensors
        value_gradient = weights.transpose(2, 3) @ gradient
        score_gradient = torch._softmax_backward_data(gradient @ value.transpose(2, 3), weights, -1, weights.dtype)
        bias_gradient = score_gradient.sum(0, keepdim=True, dtype=torch.float32) if ctx.needs_input_grad[3] else None
        return score_gradient @ key, score_gradient.transpose(2, 3) @ query, value_gradient, bias_gradient, None
