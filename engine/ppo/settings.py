"""What can be set about PPO, under the names of TRL 0.11.4's `PPOConfig` and with its defaults.

Nothing here imports torch, so a form and the command line can check what a person types at once.
"""

from __future__ import annotations

from typing import Literal

from looptop.engine.config.types import Fraction, NonNegativeFloat, Positive, PositiveFloat, Table

KlPenalty = Literal["kl", "abs", "mse", "full"]


class PpoSettings(Table, frozen=True, kw_only=True):
    """One PPO batch's arithmetic; how many samples it has, the learning rate and the seed are the run's."""

    ppo_epochs: Positive = 4
    """Passes over each batch."""
    mini_batch_size: Positive = 4
    """Samples in one forward and backward pass."""
    gradient_accumulation_steps: Positive = 1
    """Mini-batches whose gradients go into one step of the optimiser."""

    kl_penalty: KlPenalty = "kl"
    """How a token's distance to the reference is measured; see `kl.kl_penalty`."""
    init_kl_coef: NonNegativeFloat = 0.2
    """beta, the weight of the KL in the reward, at the start."""
    adap_kl_ctrl: bool = True
    """Move beta so that the KL approaches `target`; otherwise it stays."""
    target: PositiveFloat = 6.0
    """A response's KL that the adaptive control aims at, in nats."""
    horizon: PositiveFloat = 10_000.0
    """Samples over which the adaptive control acts; more are slower."""

    gamma: Fraction = 1.0
    """What the next token's reward counts for in this one's return."""
    lam: Fraction = 0.95
    """lambda of the generalized advantage estimation."""
    whiten_rewards: bool = False
    """Bring the batch's token rewards to variance 1 before the advantages are computed."""

    cliprange: PositiveFloat = 0.2
    """How far from 1 the probability ratio counts in the policy loss."""
    cliprange_value: PositiveFloat = 0.2
    """How far from the old value a new one counts in the value loss."""
    vf_coef: NonNegativeFloat = 0.1
    """Weight of the value loss."""
    ratio_threshold: PositiveFloat = 10.0
    """A mini-batch whose mean ratio is above this teaches nothing."""
    early_stopping: bool = False
    """Leave out the remaining passes once the policy has moved too far from where the batch found it."""
    target_kl: PositiveFloat = 1.0
    """Early stopping acts above 1.5 times this."""

    use_score_scaling: bool = False
    """Divide scores by the standard deviation of all scores so far."""
    use_score_norm: bool = False
    """With `use_score_scaling`: take off the mean of all scores so far first."""
    score_clip: PositiveFloat | None = None
    """Scores beyond plus or minus this are cut to it."""
