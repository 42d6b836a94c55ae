"""A PPO batch's way through the places where it can be held: generated, scored, compared, updated (fig 7.12).

Generating and scoring are the caller's. `compare` (in a module of its own) says how far the policy stands from the
reference, `teach` turns scores and KL into targets, `passes` yields whenever gradients are ready for a step of the
optimiser, and `report` closes the batch. `update` strings the last three together; whoever steps the optimiser
elsewhere (a Trainer does) calls them one by one. Between `compare` and `teach` a score can be replaced, or samples left
out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from looptop.engine.config.ppo import PpoSettings
from looptop.engine.ppo.algorithm import Targets, losses, targets
from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.compare import Comparison, without_dropout
from looptop.engine.ppo.kl import next_kl_coef
from looptop.engine.ppo.scores import Moments, scale_scores
from looptop.engine.ppo.sharing import said_of_all
from looptop.engine.ppo.statistics import (
    MiniBatch,
    Statistics,
    batch_statistics,
    mini_batch_statistics,
    update_statistics,
)
from looptop.engine.runs.processes import ALONE, Processes


@dataclass
class PpoState:
    """What goes from batch to batch besides weights and optimiser.

    Attributes:
        kl_coef: beta.
        order: Draws the order of the samples in each pass.
        moments: Of all scores so far.
    """

    kl_coef: float
    order: np.random.RandomState
    moments: Moments = field(default_factory=Moments)

    @classmethod
    def begin(cls, settings: PpoSettings, seed: int) -> PpoState:
        """The state before the first batch."""
        return cls(settings.init_kl_coef, np.random.RandomState(seed))

    def state_dict(self) -> dict[str, Any]:
        """All of it in JSON's types, for a checkpoint."""
        name, key, *rest = self.order.get_state(legacy=True)
        order = [name, np.asarray(key).tolist(), *rest]
        return {"kl_coef": self.kl_coef, "order": order, "moments": astuple(self.moments)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` returned."""
        self.kl_coef = state["kl_coef"]
        self.order.set_state(tuple(state["order"]))
        self.moments = Moments(*state["moments"])


def teach(
    batch: Batch, comparison: Comparison, scores: Tensor, state: PpoState, settings: PpoSettings
) -> tuple[Tensor, Targets]:
    """Scores as they go into the reward, and what they teach; the state's moments take the scores in.

    Args:
        batch: The samples.
        comparison: What `compare` returned for them.
        scores: Finite, `[batch]`.
        state: beta and the moments of all scores.
        settings: See `PpoSettings`.
    """
    if settings.use_score_scaling:
        state.moments = state.moments.updated(scores)
    scores = scale_scores(scores, state.moments, settings)
    return scores, targets(comparison.kl, comparison.values, scores, batch.mask, state.kl_coef, settings)


@dataclass(frozen=True)
class Ready:
    """Gradients stand ready for one step of the optimiser.

    Attributes:
        mini_batches: What they came from.
        last: Whether this is the batch's last step.
    """

    mini_batches: Sequence[MiniBatch]
    last: bool


def passes(
    policy: nn.Module,
    batch: Batch,
    comparison: Comparison,
    taught: Targets,
    order: np.random.RandomState,
    settings: PpoSettings,
    backward: Callable[[Tensor], object] = torch.Tensor.backward,
    processes: Processes = ALONE,
) -> Iterator[Ready]:
    """The passes over a batch: each one permutation, cut into mini-batches, some of them to a step of the optimiser.

    The caller steps the optimiser and clears the gradients each time this yields. Autocast belongs around each forward
    pass of the policy (where accelerate puts it), not around this: as long as it is open it keeps the weights that it
    has cast, though the optimiser has changed them since.

    Args:
        policy: A policy, or a wrapper of one.
        batch: The samples.
        comparison: What `compare` returned for them.
        taught: What `teach` returned for them.
        order: Draws the permutations.
        settings: How many passes, samples and mini-batches; clip ranges; early stopping.
        backward: Takes each loss, already divided by the number of mini-batches of its step.
        processes: Those that have a copy of the policy; each passes its share of every mini-batch through its own.
    """
    stopped = False
    for epoch in range(settings.ppo_epochs):
        rows = torch.from_numpy(order.permutation(len(batch))).to(batch.mask.device)
        mini_batches = rows.split(settings.mini_batch_size)
        for begin in range(0, len(mini_batches), settings.gradient_accumulation_steps):
            group = mini_batches[begin : begin + settings.gradient_accumulation_steps]
            with without_dropout(policy):
                seen = [
                    _learn(policy, batch, comparison, taught, part, settings, backward, len(group), processes)
                    for part in group
                ]
            ends_pass = begin + len(group) == len(mini_batches)
            if ends_pass and settings.early_stopping:
                stopped = seen[-1].scalars["policy/policykl"] > 1.5 * settings.target_kl
            yield Ready(seen, last=ends_pass and (stopped or epoch == settings.ppo_epochs - 1))
        if stopped:
            return


def _learn(
    policy: nn.Module,
    batch: Batch,
    comparison: Comparison,
    taught: Targets,
    rows: Tensor,
    settings: PpoSettings,
    backward: Callable[[Tensor], object],
    parts: int,
    processes: Processes,
) -> MiniBatch:
    samples = batch.select(rows)
    length = samples.mask.shape[1]
    old = comparison.select(rows, length)
    goal = Targets(*(getattr(taught, part.name)[rows, :length] for part in fields(taught)))
    now = said_of_all(policy, batch, rows, length, processes)
    found = losses(now.logprobs, now.values, old.logprobs, goal, samples.mask, settings)
    # The processes' gradients are averaged, and each has but its share of the sum.
    backward(found.total * processes.count / parts)
    seen = mini_batch_statistics(rows, now.logprobs, now.values, now.entropy, old.logprobs, goal, found, samples.mask)
    missing = (0, batch.mask.shape[1] - length)
    return MiniBatch(rows, seen.scalars, pad(seen.advantages, missing), pad(seen.ratio, missing, value=1.0))


def report(
    batch: Batch,
    comparison: Comparison,
    scores: Tensor,
    taught: Targets,
    mini_batches: Sequence[MiniBatch],
    learning_rate: float,
    state: PpoState,
    settings: PpoSettings,
) -> Statistics:
    """Closes a batch: its statistics, and beta for the next one.

    Args:
        batch: The samples.
        comparison: What `compare` returned for them.
        scores: As they went into the reward, from `teach`.
        taught: What `teach` returned for them.
        mini_batches: All of them, in order.
        learning_rate: The optimiser's.
        state: beta, which is moved.
        settings: How beta is controlled.
    """
    statistics = batch_statistics(
        batch,
        comparison.logprobs,
        comparison.ref_logprobs,
        comparison.kl,
        taught.non_score_rewards,
        scores,
        state.kl_coef,
    )
    statistics |= update_statistics(mini_batches)
    statistics["ppo/learning_rate"] = learning_rate
    kl = statistics["objective/kl"]
    state.kl_coef = next_kl_coef(state.kl_coef, float(kl), len(batch), settings)
    return statistics


def update(
    policy: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    comparison: Comparison,
    scores: Tensor,
    state: PpoState,
    settings: PpoSettings,
) -> Statistics:
    """Teaches the policy one compared and scored batch.

    Args:
        policy: A policy.
        optimizer: Its optimiser; one step for each `gradient_accumulation_steps` mini-batches.
        batch: The samples.
        comparison: What `compare` returned for them.
        scores: Finite, `[batch]`, as the reward models or a person gave them.
        state: Carried on from batch to batch.
        settings: See `PpoSettings`.

    Returns:
        The batch's statistics under TRL's names.
    """
    scores, taught = teach(batch, comparison, scores, state, settings)
    mini_batches: list[MiniBatch] = []
    optimizer.zero_grad()
    for ready in passes(policy, batch, comparison, taught, state.order, settings):
        optimizer.step()
        optimizer.zero_grad()
        mini_batches += ready.mini_batches
    rate = float(optimizer.param_groups[0]["lr"])
    return report(batch, comparison, scores, taught, mini_batches, rate, state, settings)
