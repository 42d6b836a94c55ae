"""PPO's arithmetic as pure functions on tensors: log-probabilities, rewards, advantages, losses.

All tensors of a batch are `[batch, response length]`: column t belongs to the response's t-th generated token, its
value and log-probability are those of the state before that token. A boolean mask says which tokens count. Values
outside the mask are never used, so they may be NaN.

The formulas are those of Ziegler et al. 2019 (arXiv:1909.08593) and Stiennon et al. 2020 (arXiv:2009.01325), on PPO
(arXiv:1707.06347) and generalized advantage estimation (arXiv:1506.02438), as TRL 0.11.4 computed them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from looptop.engine.config.ppo import KlPenalty, PpoSettings

# Means and log-probabilities ------------------------------------------------------------------------------------------


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of the values that count; a scalar, 0 if none does."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def masked_variance(values: Tensor, mask: Tensor) -> Tensor:
    """The unbiased variance of the values that count; a scalar, 0 if fewer than two do."""
    count = mask.sum()
    deviation = values - masked_mean(values, mask)
    return masked_mean(deviation.square(), mask) * (count / (count - 1).clamp(min=1))


def whiten(values: Tensor, mask: Tensor, shift_mean: bool = True) -> Tensor:
    """Values brought to variance 1 under the mask.

    Args:
        values: `[batch, response length]`.
        mask: The same shape.
        shift_mean: Also bring the mean to 0; otherwise it stays.

    Returns:
        `[batch, response length]`. Values outside the mask are transformed in the same way.
    """
    mean, variance = masked_mean(values, mask), masked_variance(values, mask)
    whitened = (values - mean) * torch.rsqrt(variance + 1e-8)
    return whitened if shift_mean else whitened + mean


def token_logprobs(log_distribution: Tensor, token_ids: Tensor) -> Tensor:
    """The log-probabilities of given tokens.

    Args:
        log_distribution: `[..., vocabulary]`, the log-softmax of logits.
        token_ids: `[...]`.

    Returns:
        `[...]`.
    """
    logprobs: Tensor = log_distribution.gather(-1, token_ids.unsqueeze(-1)).squeeze(-1)
    return logprobs


def entropy(log_distribution: Tensor) -> Tensor:
    """The entropy in nats of each distribution, given as log-softmax: `[..., vocabulary]` to `[...]`."""
    # Several times as fast as torch's own entr. The logarithm of 0 is -inf, which the clamp makes a number.
    entropies: Tensor = -(log_distribution.exp() * log_distribution.clamp(min=-1e4)).sum(-1)
    return entropies


# The distance to the reference ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """The policy before its update beside the reference; all `[batch, response length]`, 0 where there is no token.

    Attributes:
        logprobs: The policy's log-probability of each token.
        ref_logprobs: The reference's log-probability of each token.
        values: The value head's output before each token.
        entropy: The entropy of the policy's distribution before each token.
        kl: Each token's distance from the reference, of the kind that the settings name.
    """

    logprobs: Tensor
    ref_logprobs: Tensor
    values: Tensor
    entropy: Tensor
    kl: Tensor

    def select(self, rows: Tensor, length: int) -> Comparison:
        """Some samples, their first `length` tokens."""
        return Comparison(*(getattr(self, part.name)[rows, :length] for part in fields(self)))


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


# Scores ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moments:
    """Mean and variance of all scores so far.

    Attributes:
        count: How many scores.
        mean: Their mean.
        variance: Their variance, not corrected for the small number.
    """

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    @property
    def std(self) -> float:
        """The unbiased standard deviation; 1 before there are two scores that differ."""
        if self.count < 2 or self.variance == 0:
            return 1.0
        return float((self.variance * self.count / (self.count - 1)) ** 0.5)

    def updated(self, scores: Tensor) -> Moments:
        """These moments and those of a batch, merged (Chan, Golub and LeVeque 1979, eq. 2.1).

        Args:
            scores: `[batch]`, at least one.
        """
        new = scores.numel()
        variance, mean = (float(part) for part in torch.var_mean(scores.double(), correction=0))
        count = self.count + new
        difference = mean - self.mean
        squares = self.variance * self.count + variance * new + difference**2 * self.count * new / count
        return Moments(count, self.mean + difference * new / count, squares / count)


def scale_scores(scores: Tensor, moments: Moments, settings: PpoSettings) -> Tensor:
    """Scores as they go into the reward.

    Args:
        scores: `[batch]`.
        moments: Of all scores up to and with these; used with `use_score_scaling` alone.
        settings: Whether scores are scaled, centred and clipped.

    Returns:
        `[batch]`.
    """
    if settings.use_score_scaling:
        centre = moments.mean if settings.use_score_norm else 0.0
        scores = (scores - centre) / (moments.std + torch.finfo(scores.dtype).eps)
    if settings.score_clip is not None:
        scores = scores.clamp(-settings.score_clip, settings.score_clip)
    return scores


# Rewards, advantages and returns --------------------------------------------------------------------------------------


def token_rewards(kl: Tensor, scores: Tensor, mask: Tensor, kl_coef: float) -> tuple[Tensor, Tensor]:
    """Each token's reward: -beta KL, and at the response's last token its score (arXiv:1909.08593, eq. 2).

    Args:
        kl: Each token's distance to the reference, `[batch, response length]`.
        scores: `[batch]`.
        mask: `[batch, response length]`; a row in which nothing counts gets no score.
        kl_coef: beta.

    Returns:
        The rewards and, without the scores, the part that comes from the KL; both `[batch, response length]`.
    """
    from_kl = -kl_coef * kl
    # Counted from the right, the last token that counts is the first.
    is_last = mask & (mask.flip(-1).cumsum(-1).flip(-1) == 1)
    return torch.where(is_last, from_kl + scores.unsqueeze(-1), from_kl), from_kl


def generalized_advantages(values: Tensor, rewards: Tensor, gamma: float, lam: float) -> Tensor:
    """GAE(gamma, lambda), equation 16 of arXiv:1506.02438: a discounted sum of each step's surprise.

    Args:
        values: `[batch, response length]`; after the last column the value is 0.
        rewards: The same shape.
        gamma: The discount.
        lam: lambda; 0 is the one-step difference, 1 the whole return less the value.

    Returns:
        `[batch, response length]`, not whitened.
    """
    next_values = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    deltas = rewards + gamma * next_values - values
    advantages = torch.empty_like(deltas)
    running = torch.zeros_like(deltas[:, 0])
    for t in reversed(range(deltas.shape[1])):
        running = deltas[:, t] + gamma * lam * running
        advantages[:, t] = running
    return advantages


@dataclass(frozen=True)
class Targets:
    """The training targets of the passes over a batch; all `[batch, response length]`.

    Attributes:
        rewards: Each token's reward, as it went in.
        non_score_rewards: The part of it that comes from the KL.
        values: The old values, 0 where nothing counts.
        advantages: Whitened over the tokens that count.
        returns: Advantages before whitening, plus values.
    """

    rewards: Tensor
    non_score_rewards: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor


def targets(kl: Tensor, values: Tensor, scores: Tensor, mask: Tensor, kl_coef: float, settings: PpoSettings) -> Targets:
    """Rewards, advantages and returns of a batch.

    With `whiten_rewards`, as in TRL 0.11.4, the zeros outside of the mask are whitened with the rest, and those after
    a response's end reach its advantages: with this setting, and only with it, a response's advantages depend on how
    long the batch's longest response is. (TRL padded a decoder-only model's queries and responses as one, so for these
    the numbers differ from TRL's by that padding.)

    Args:
        kl: Each token's distance to the reference, `[batch, response length]`.
        values: The value head's, the same shape.
        scores: `[batch]`, scaled and clipped.
        mask: `[batch, response length]`.
        kl_coef: beta.
        settings: gamma, lambda and whether rewards are whitened.
    """
    rewards, from_kl = token_rewards(kl, scores, mask, kl_coef)
    rewards, from_kl, values = (torch.where(mask, part, 0.0) for part in (rewards, from_kl, values))
    credited = whiten(rewards, mask, shift_mean=False) if settings.whiten_rewards else rewards
    advantages = generalized_advantages(values, credited, settings.gamma, settings.lam)
    return Targets(rewards, from_kl, values, whiten(advantages, mask), advantages + values)


# Losses ---------------------------------------------------------------------------------------------------------------


def policy_loss(ratio: Tensor, advantages: Tensor, mask: Tensor, cliprange: float) -> tuple[Tensor, Tensor]:
    """PPO's clipped surrogate (arXiv:1707.06347, eq. 7), to be made small.

    Args:
        ratio: New probability over old, `[batch, response length]`.
        advantages: The same shape.
        mask: The same shape.
        cliprange: epsilon.

    Returns:
        The loss and the share of tokens for which the clipped ratio gave the larger loss; scalars.
    """
    plain = -advantages * ratio
    clipped = -advantages * ratio.clamp(1 - cliprange, 1 + cliprange)
    return masked_mean(torch.max(plain, clipped), mask), masked_mean((clipped > plain).float(), mask)


def value_loss(
    new_values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, cliprange_value: float
) -> tuple[Tensor, Tensor]:
    """Half the mean of the worse of two squared errors, a value's and that of the value clipped to near its old one.

    Args:
        new_values: The value head's in this pass, `[batch, response length]`.
        old_values: The same shape.
        returns: The same shape.
        mask: The same shape.
        cliprange_value: How far a value may leave the old one.

    Returns:
        The loss and the share of tokens for which the clipped value gave the larger error; scalars.
    """
    near = torch.max(torch.min(new_values, old_values + cliprange_value), old_values - cliprange_value)
    plain, clipped = (new_values - returns).square(), (near - returns).square()
    return 0.5 * masked_mean(torch.max(plain, clipped), mask), masked_mean((clipped > plain).float(), mask)


@dataclass(frozen=True)
class Losses:
    """A mini-batch's losses (scalars; the total carries the gradient) and what they came from.

    Attributes:
        policy: The clipped surrogate.
        value: The clipped value loss, not weighted.
        total: policy + vf_coef * value; 0 if the mean ratio is above `ratio_threshold`.
        policy_clipfrac: Share of tokens whose ratio was clipped.
        value_clipfrac: Share of tokens whose value was clipped.
        ratio: New probability over old, `[batch, response length]`, 1 outside of the mask.
    """

    policy: Tensor
    value: Tensor
    total: Tensor
    policy_clipfrac: Tensor
    value_clipfrac: Tensor
    ratio: Tensor


def losses(
    logprobs: Tensor,
    values: Tensor,
    old_logprobs: Tensor,
    targets: Targets,
    mask: Tensor,
    settings: PpoSettings,
) -> Losses:
    """The losses of one mini-batch.

    If the mean ratio is above `ratio_threshold` the losses are zero. Their gradients are then zeros, not missing:
    the optimiser steps all the same, by its momentum.

    Args:
        logprobs: The response's in this pass, `[batch, response length]`.
        values: The value head's in this pass, the same shape.
        old_logprobs: The response's before the update, the same shape.
        targets: What is taught, of these samples.
        mask: `[batch, response length]`.
        settings: Clip ranges, the value loss's weight, the ratio's threshold.
    """
    logprobs, values = (torch.where(mask, part, 0.0) for part in (logprobs, values))
    ratio = torch.where(mask, logprobs - old_logprobs, 0.0).exp()
    policy, policy_clipfrac = policy_loss(ratio, targets.advantages, mask, settings.cliprange)
    value, value_clipfrac = value_loss(values, targets.values, targets.returns, mask, settings.cliprange_value)
    if masked_mean(ratio.detach(), mask) > settings.ratio_threshold:
        # Not the losses times zero: if a ratio has overflowed, that would be NaN, in every weight.
        policy, value = (0.0 * part.sum() for part in (logprobs, values))
    total = policy + settings.vf_coef * value
    return Losses(policy, value, total, policy_clipfrac, value_clipfrac, ratio)


# The weight of the KL -------------------------------------------------------------------------------------------------


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
