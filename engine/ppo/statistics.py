"""The statistics of a PPO batch, under the names that TRL 0.11.4 gave them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from looptop.engine.ppo.algorithm import Comparison, Losses, Targets, masked_mean, masked_variance
from looptop.engine.ppo.batch import Batch

Statistics = dict[str, float | Tensor]
"""Name to number; a tensor (on the CPU) if there is one number per sample or token."""


@dataclass(frozen=True)
class MiniBatch:
    """The statistics of one mini-batch in one pass.

    Attributes:
        rows: Which samples of the batch, `[samples]`.
        scalars: Statistic to number, without the `ppo/` in front.
        advantages: `[samples, response length of the batch]`.
        ratio: The same shape, 1 where nothing counts.
    """

    rows: Tensor
    scalars: dict[str, float]
    advantages: Tensor
    ratio: Tensor


@torch.no_grad()
def mini_batch_statistics(
    rows: Tensor,
    logprobs: Tensor,
    values: Tensor,
    entropy: Tensor,
    old_logprobs: Tensor,
    targets: Targets,
    losses: Losses,
    mask: Tensor,
) -> MiniBatch:
    """One mini-batch's statistics, from before its optimiser step.

    Args:
        rows: Which samples of the batch, `[samples]`.
        logprobs: Log-probabilities in this pass, `[samples, response length]`.
        values: Values in this pass, the same shape.
        entropy: Entropies in this pass, the same shape.
        old_logprobs: Log-probabilities before the update, the same shape.
        targets: The training targets.
        losses: The losses.
        mask: `[samples, response length]`.
    """
    change = logprobs - old_logprobs
    scalars = {
        "loss/policy": losses.policy,
        "loss/value": losses.value,
        "loss/total": losses.total,
        "policy/entropy": masked_mean(entropy, mask),
        "policy/approxkl": 0.5 * masked_mean(change.square(), mask),
        "policy/policykl": masked_mean(-change, mask),
        "policy/clipfrac": losses.policy_clipfrac,
        "policy/advantages_mean": masked_mean(targets.advantages, mask),
        "returns/mean": masked_mean(targets.returns, mask),
        "returns/var": masked_variance(targets.returns, mask),
        "val/vpred": masked_mean(values, mask),
        "val/error": masked_mean((values - targets.returns).square(), mask),
        "val/clipfrac": losses.value_clipfrac,
        "val/mean": masked_mean(targets.values, mask),
        "val/var": masked_variance(targets.values, mask),
    }
    numbers = torch.stack(list(scalars.values())).tolist()  # one wait for the device, not fifteen
    return MiniBatch(rows, dict(zip(scalars, numbers, strict=True)), targets.advantages, losses.ratio.detach())


def update_statistics(mini_batches: Sequence[MiniBatch]) -> Statistics:
    """The means over all mini-batches of all passes, and the tokens' advantages and ratios one after another.

    Args:
        mini_batches: In the order in which they were seen; `ppo/policy/advantages` and `ppo/policy/ratio` keep it.
    """
    count = len(mini_batches)
    statistics: Statistics = {
        f"ppo/{name}": sum(seen.scalars[name] for seen in mini_batches) / count for name in mini_batches[0].scalars
    }
    error, variance = statistics["ppo/val/error"], statistics["ppo/returns/var"]
    statistics["ppo/val/var_explained"] = 1 - error / variance if variance else float("nan")
    statistics["ppo/policy/advantages"] = torch.cat([seen.advantages.flatten() for seen in mini_batches]).cpu()
    statistics["ppo/policy/ratio"] = torch.cat([seen.ratio.flatten() for seen in mini_batches]).cpu()
    return statistics


@torch.no_grad()
def batch_statistics(
    batch: Batch, comparison: Comparison, targets: Targets, scores: Tensor, kl_coef: float
) -> Statistics:
    """The statistics of a batch that are known before its update.

    Args:
        batch: The samples.
        comparison: Policy beside reference.
        targets: The training targets of the passes.
        scores: The scores as they went into the reward, `[batch]`.
        kl_coef: beta, as it was for this batch.
    """
    mask = batch.mask
    kl_of_samples = torch.where(mask, comparison.kl, 0.0).sum(dim=1)
    query_lengths = batch.query_mask.sum(dim=1).float()
    response_lengths = batch.response_mask.sum(dim=1).float() + batch.start_tokens
    return {
        "objective/kl": kl_of_samples.mean().item(),
        "objective/kl_dist": kl_of_samples.cpu(),
        "objective/logprobs": comparison.logprobs.cpu(),
        "objective/ref_logprobs": comparison.ref_logprobs.cpu(),
        "objective/kl_coef": kl_coef,
        # TRL's name; not an entropy but minus the log-probability of the response.
        "objective/entropy": -torch.where(mask, comparison.logprobs, 0.0).sum(dim=1).mean().item(),
        "ppo/mean_non_score_reward": masked_mean(targets.non_score_rewards, mask).item(),
        "ppo/mean_scores": scores.mean().item(),
        "ppo/std_scores": _std(scores),
        "tokens/queries_len_mean": query_lengths.mean().item(),
        "tokens/queries_len_std": _std(query_lengths),
        "tokens/queries_dist": query_lengths.cpu(),
        "tokens/responses_len_mean": response_lengths.mean().item(),
        "tokens/responses_len_std": _std(response_lengths),
        "tokens/responses_dist": response_lengths.cpu(),
    }


def _std(values: Tensor) -> float:
    return values.std().item() if len(values) > 1 else float("nan")
