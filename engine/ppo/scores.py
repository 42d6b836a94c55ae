"""Scores on their way into the reward: scaled by what was seen so far, and clipped."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from looptop.engine.config.ppo import PpoSettings


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
