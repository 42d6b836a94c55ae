"""The distance between policy and reference, and the control of its weight in the reward."""

from __future__ import annotations

import torch
from torch import Tensor

from looptop.engine.config.ppo import KlPenalty, PpoSettings


def kl_penalty(logprobs: Tensor, ref_logprobs: Tensor, kind: KlPenalty) -> Tensor:
    """Each sampled token's distance, from the two log-probabilities that it was given.

    `kl` (their difference) estimates the Kullback-Leibler divergence without bias, though single tokens may be below
    zero; `abs` is its absolute value; `mse`, half its square, is the k2 of http://joschu.net/blog/kl-approx.html.

    Args:
        logprobs: The policy's, of any shape.
        ref_logprobs: The reference's, the same shape.
        kind: `kl`, `abs` or `mse`; `full` needs whole distributions, see `full_kl`.

    Raises:
        ValueError: Another kind.
    """
    difference = logprobs - ref_logprobs
    if kind == "kl":
        return difference
    if kind == "abs":
        return difference.abs()
    if kind == "mse":
        return 0.5 * difference.square()
    raise ValueError(f"a KL of kind '{kind}' cannot be computed from the sampled tokens alone")


def full_kl(log_distribution: Tensor, ref_log_distribution: Tensor) -> Tensor:
    """KL(policy || reference) over the whole vocabulary: the sum of p (log p - log ref).

    Args:
        log_distribution: The policy's, `[..., vocabulary]`.
        ref_log_distribution: The reference's, the same shape.

    Returns:
        `[...]`, in nats; a token to which the policy gives no probability adds nothing.
    """
    probabilities = log_distribution.exp()
    terms = probabilities * (log_distribution - ref_log_distribution)
    return torch.where(probabilities > 0, terms, 0.0).sum(-1)


def next_kl_coef(kl_coef: float, kl: float, samples: int, settings: PpoSettings) -> float:
    """Beta for the next batch: fixed, or moved in proportion to the error (arXiv:1909.08593, section 2.2).

    Args:
        kl_coef: beta of this batch.
        kl: The batch's mean KL of a response, in nats.
        samples: How many samples the batch had.
        settings: Whether beta adapts, its target and its horizon.
    """
    if not settings.adap_kl_ctrl:
        return kl_coef
    error = min(max(kl / settings.target - 1, -0.2), 0.2)
    return kl_coef * (1 + error * samples / settings.horizon)
