"""GPT-2's activation and attention for short answers on a CPU, in fewer passes over memory.

transformers writes GELU as eight operations, and torch's own attention is slow for a handful of tokens.
The weights stay the same, under the same names. `model.kernels = "transformers"` leaves a decoder as it is, and so does
a GPU, which has kernels of its own.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, GPT2PreTrainedModel, PreTrainedModel
from transformers.activations import NewGELUActivation
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from looptop.engine.models.fast_attention import attention, causal_mask

ATTENTION = "looptop_gpt2"
"""The name of this module's attention in transformers."""


def use_fast_kernels(decoder: PreTrainedModel) -> None:
    """Replaces activation and attention of a GPT-2 on a CPU; any other decoder stays unchanged."""
    if not isinstance(decoder, GPT2PreTrainedModel) or decoder.device.type != "cpu":
        return
    for module in list(decoder.modules()):
        for name, part in list(module.named_children()):
            if type(part) is NewGELUActivation:
                setattr(module, name, nn.GELU(approximate="tanh"))
    decoder.set_attn_implementation(ATTENTION)


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float = 1.0,
    **more: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention with transformers' interface.

    Args:
        module: The attention layer.
        query: `[batch, heads, tokens, size of a head]`.
        key: `[batch, heads, key tokens, size of a head]`.
        value: The same shape as the key.
        attention_mask: True where a key is seen; None for all of them, or for all earlier ones in a causal layer.
        dropout: The share of weights that are set to 0.
        scaling: The factor of the scores.
        **more: What transformers passes besides.

    Returns:
        The attended values `[batch, tokens, heads, size of a head]`, and the weights.
    """
    if query.device.type != "cpu":  # The model was moved to a GPU later.
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **more)
    hidden_mask = None if attention_mask is None else ~attention_mask
    if hidden_mask is None and module.is_causal and query.shape[2] > 1:
        hidden_mask = causal_mask(query, key)
    attended, weights = attention(query, key, value, hidden_mask, scaling, dropout)
    return attended.transpose(1, 2), weights


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
