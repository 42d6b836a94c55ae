"""GPT-2's inner parts as short answers need them: the same functions and weights in fewer passes over memory.

transformers writes GELU as eight operations, and torch's attention, made for thousands of tokens, takes longer on a
processor than three plain operations where an answer has a handful: together a third of a step of the tiny preset.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, GPT2PreTrainedModel, PreTrainedModel
from transformers.activations import NewGELUActivation
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "looptop_answers"
"""What transformers calls this module's attention."""


def quicken(decoder: PreTrainedModel) -> None:
    """Puts this module's parts in the places of transformers' own; a decoder that is no GPT-2 is left as it is."""
    if not isinstance(decoder, GPT2PreTrainedModel):
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
    """Attention as transformers asks for it, `[batch, heads, tokens, size of a head]` each; the mask is True where a
    token is seen.
    """
    if query.device.type != "cpu":
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **more)
    seen = attention_mask
    if seen is None and module.is_causal and query.shape[2] > 1:
        seen = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril(key.shape[2] - query.shape[2])
    scores = query @ key.transpose(2, 3) * scaling
    if seen is not None:
        scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
    weights = nn.functional.dropout(scores.softmax(-1), dropout, training=dropout > 0)
    return (weights @ value).transpose(1, 2), weights


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
