"""What logits say of given tokens, without ever holding the whole distribution of all tokens in float32.

A vocabulary is large: 400 tokens of FLAN-T5's are 50 MB in float32, which six operations would each read from memory
and write back. Here a few rows at a time go through all of them while they are in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from looptop.engine.ppo.algorithm import entropy, token_logprobs

NUMBERS_AT_ONCE = 2**19
"""2 MiB in float32; a processor's cache holds that and a copy."""


def said_of_tokens(logits: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Each token's log-probability, and the entropy of the distribution that it is from.

    Args:
        logits: `[tokens, vocabulary]`, in any floating type.
        token_ids: `[tokens]`.

    Returns:
        Log-probabilities, which carry the gradient, and entropies in nats, which carry none; float32, `[tokens]`.
    """
    if torch.is_grad_enabled():
        said: tuple[Tensor, Tensor] = _SaidOfTokens.apply(logits, token_ids)  # type: ignore[no-untyped-call]
        return said
    return _said_of_tokens(logits, token_ids)


def _said_of_tokens(logits: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor]:
    logprobs, entropies = logits.new_empty(2, len(logits), dtype=torch.float32)
    for rows in _groups(logits):
        log_distribution = logits[rows].float().log_softmax(-1)
        logprobs[rows] = token_logprobs(log_distribution, token_ids[rows])
        entropies[rows] = entropy(log_distribution)
    return logprobs, entropies


def _groups(logits: Tensor) -> Iterator[slice]:
    # Only a processor's cache is so small; elsewhere many small operations take longer.
    size = max(1, NUMBERS_AT_ONCE // logits.shape[1]) if logits.device.type == "cpu" else max(1, len(logits))
    return (slice(begin, begin + size) for begin in range(0, len(logits), size))


class _SaidOfTokens(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        logprobs, entropies = _said_of_tokens(logits, token_ids)
        ctx.save_for_backward(logits, token_ids)
        ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None]:
        logits, token_ids = ctx.saved_tensors
        to_logits = torch.empty_like(logits)
        # A log-probability is its logit less the logarithm of the sum of all: its gradient is 1 at the token, less
        # every token's probability. These are made again as torch makes them, to the last bit.
        for rows in _groups(logits):
            probabilities = logits[rows].float().log_softmax(-1).exp_()
            part = probabilities.mul_(-gradient[rows, None])
            to_logits[rows] = part.scatter_add_(1, token_ids[rows, None], gradient[rows, None])
        return to_logits, None
