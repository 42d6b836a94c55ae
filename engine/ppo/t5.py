"""T5's inner parts in fewer passes over memory than transformers makes, with the same weights under the same names.

On a processor, a T5 of this size spends as long on what lies between its matrix products as on these: transformers
writes GELU as eight operations and the norm as five, casts each activation once for every product that takes it, and
attention whose bias is learned falls back to float32 step by step. `quicken` puts these parts in their place in a model
that is loaded already.

They are for processors alone (`is_for`): a GPU has kernels of its own, and there transformers' T5 stays as it is.
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

ATTENTION = "looptop_t5"
"""What transformers calls this module's attention."""


def is_for(device: torch.device | str) -> bool:
    """Whether models on this device get this module's parts: on a processor they do."""
    return torch.device(device).type == "cpu"


def quicken(model: T5ForConditionalGeneration) -> None:
    """Puts this module's parts in the places of transformers' own."""
    for module in list(model.modules()):
        for name, part in list(module.named_children()):
            if type(part) is T5LayerNorm:
                setattr(module, name, Norm(part))
            elif type(part) is T5DenseGatedActDense and isinstance(part.act, NewGELUActivation):
                setattr(module, name, FeedForward(part))
    model.set_attn_implementation(ATTENTION)


class Norm(nn.Module):
    """T5's layer norm: scaled to a root mean square of 1, no mean taken off.

    Args:
        of: Whose weight it takes over.
    """

    def __init__(self, of: T5LayerNorm) -> None:
        super().__init__()
        self.weight = of.weight
        self.variance_epsilon = of.variance_epsilon

    def forward(self, hidden_states: Tensor) -> Tensor:
        """`[..., hidden size]` to the same; under autocast in its type, as the linear layers behind it take it."""
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
        of: Whose layers it takes over.
    """

    def __init__(self, of: T5DenseGatedActDense) -> None:
        super().__init__()
        self.wi_0, self.wi_1, self.wo, self.dropout = of.wi_0, of.wi_1, of.wo, of.dropout

    def forward(self, hidden_states: Tensor) -> Tensor:
        """`[..., hidden size]` to the same shape."""
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
    """Attention as transformers asks for it, `[batch, heads, tokens, size of a head]` each.

    torch's own gives no gradient to a bias on a processor, except step by step in float32, and is slow on one token.
    """
    if query.device.type != "cpu" or dropout:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, position_bias=position_bias, **more
        )
    if module.is_decoder and not module.is_causal:
        position_bias = None  # Between decoder and encoder T5 has none; transformers gives zeros.
    hidden = None if attention_mask is None else ~attention_mask
    if hidden is None and module.is_causal and query.shape[2] > 1:
        hidden = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).triu(1)
    if torch.is_grad_enabled():
        attended: Tensor = _Attention.apply(query, key, value, position_bias, hidden)  # type: ignore[no-untyped-call]
    else:
        attended = weigh(query, key, value, position_bias, hidden)[0]
    return attended.transpose(1, 2).contiguous(), None


def weigh(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, hidden: Tensor | None
) -> tuple[Tensor, Tensor]:
    """What was attended to, and with which weights. Scores and softmax are in float32, the rest in the query's type."""
    with torch.autocast(query.device.type, enabled=False):
        scores = query.float() @ key.float().transpose(2, 3)
        if bias is not None:
            scores += bias
        if hidden is not None:
            scores.masked_fill_(hidden, torch.finfo(torch.float32).min)
        weights = scores.softmax(-1).to(query.dtype)
        return weights @ value, weights


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, hidden: Tensor | None
    ) -> Tensor:
        attended, weights = weigh(query, key, value, bias, hidden)
        ctx.save_for_backward(query, key, value, weights)
        return attended

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, weights = ctx.saved_tensors
        to_value = weights.transpose(2, 3) @ gradient
        to_scores = torch._softmax_backward_data(gradient @ value.transpose(2, 3), weights, -1, weights.dtype)
        to_bias = to_scores.sum(0, keepdim=True, dtype=torch.float32) if ctx.needs_input_grad[3] else None
        return to_scores @ key, to_scores.transpose(2, 3) @ query, to_value, to_bias, None


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
