"""One PPO batch, from queries to a better policy (listing 7.6, fig 7.12). Read it from top to bottom.

`PpoStep.run` is the sequence: generate responses, score them, compare the policy with the reference, compute
advantages, make the passes over the batch, report. Its methods follow in that order. The caller's `Hooks` are called
when a stage is reached and whenever gradients are ready for the optimiser. No weight changes before the passes: until
then a batch can be dropped and made again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import astuple, dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from looptop.engine.config.ppo import GenerationConfig, PpoSettings
from looptop.engine.errors import LooptopError
from looptop.engine.ppo import algorithm
from looptop.engine.ppo.algorithm import Comparison, Moments, Targets
from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.data import Quality, Query
from looptop.engine.ppo.policy import Policy, PolicyOutput, without_dropout
from looptop.engine.ppo.records import Stage
from looptop.engine.ppo.reference import Reference
from looptop.engine.ppo.rewards import Reward, Scores, qualities, rewards_of
from looptop.engine.ppo.rollout import TRAINING, Rollout, SpecialIds, roll_out, uniforms
from looptop.engine.ppo.sharing import compute_across_processes, forward_across_processes, gather_rollout, own_rows
from looptop.engine.ppo.statistics import (
    MiniBatch,
    Statistics,
    batch_statistics,
    mini_batch_statistics,
    update_statistics,
)
from looptop.engine.runs.processes import ALONE, Processes

REFERENCE_BATCH_SIZE = 16
"""Samples for which the reference is computed together: without gradients, more of them fit into memory."""


@dataclass(frozen=True)
class Setup:
    """The models and settings that all batches of a run share.

    Attributes:
        reference: The reference that the policy is compared with.
        reward: Gives the scores.
        quality: The data's own judge, if it has one.
        tokenizer: The policy's tokenizer.
        special: The tokenizer's special ids.
        generation: How responses are written.
        ppo: The settings of a batch and its update.
        seed: The run's seed.
    """

    reference: Reference
    reward: Reward
    quality: Quality | None
    tokenizer: Any
    special: SpecialIds
    generation: GenerationConfig
    ppo: PpoSettings
    seed: int


@dataclass
class PpoState:
    """The state that one batch passes to the next, besides weights and optimiser.

    Attributes:
        kl_coef: beta, the weight of the KL in the reward.
        order: Draws the order of the samples in each pass.
        moments: The moments of all scores so far.
    """

    kl_coef: float
    order: np.random.RandomState
    moments: Moments = field(default_factory=Moments)

    @classmethod
    def begin(cls, settings: PpoSettings, seed: int) -> PpoState:
        """The state before the first batch."""
        return cls(settings.init_kl_coef, np.random.RandomState(seed))

    def state_dict(self) -> dict[str, Any]:
        """The state in JSON's types, for a checkpoint."""
        name, key, *rest = self.order.get_state(legacy=True)
        order = [name, np.asarray(key).tolist(), *rest]
        return {"kl_coef": self.kl_coef, "order": order, "moments": astuple(self.moments)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state that `state_dict` returned."""
        self.kl_coef = state["kl_coef"]
        self.order.set_state(tuple(state["order"]))
        self.moments = Moments(*state["moments"])


@dataclass
class BatchProgress:
    """What is known of a batch so far; an attribute is empty before its stage.

    Attributes:
        step: The Trainer's step that the batch is.
        stage: The stage that it has reached.
        rollout: Queries and responses (generated).
        output: The policy's output for the responses that this process wrote (generated).
        scores: The scores, by the name of the reward's part (scored).
        rewards: The weighted sums of the scores, less penalties (scored).
        quality: Figures of the data's own judge (scored).
        batch: Queries and responses as tensors (compared).
        comparison: Policy beside reference (compared).
        rows: The samples that take part in the update (updated).
        targets: The training targets of these samples (updated).
        mini_batches: The mini-batches of all passes, in order; their rows are indices into `rows` (updated).
        statistics: The statistics under TRL's names; empty if no sample took part (updated).
    """

    step: int
    rollout: Rollout
    output: PolicyOutput | None = None
    stage: Stage = "generated"
    scores: Scores = field(default_factory=dict)
    rewards: Sequence[float] = ()
    quality: Sequence[dict[str, float]] = ()
    batch: Batch | None = None
    comparison: Comparison | None = None
    rows: Sequence[int] = ()
    targets: Targets | None = None
    mini_batches: list[MiniBatch] = field(default_factory=list)
    statistics: Statistics = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rollout.texts)


class Hooks:
    """Functions of the caller that a step calls. This class holds and edits nothing.

    Args:
        optimizer: The policy's optimiser.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def reached(self, progress: BatchProgress) -> None:
        """Called at the stages generated, scored and compared. It may wait, or raise to drop the batch."""

    def rewards_and_rows(self, progress: BatchProgress) -> tuple[list[float], list[int]]:
        """The reward of every sample, and the rows of those that take part in the update."""
        return list(progress.rewards), list(range(len(progress)))

    def autocast(self) -> AbstractContextManager[object]:
        """The precision in which responses are written and compared."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Takes the loss of a mini-batch, already divided by the number of mini-batches per optimiser step."""
        loss.backward()

    def optimizer_step(self, step: int, mini_batches: Sequence[MiniBatch], last: bool) -> None:
        """Called when gradients are ready: steps the optimiser and clears them.

        Args:
            step: The batch's step.
            mini_batches: The mini-batches that the gradients came from.
            last: Whether this is the batch's last step.
        """
        self.optimizer.step()
        self.optimizer.zero_grad()

    def learning_rate(self) -> float:
        """The optimiser's learning rate."""
        return float(self.optimizer.param_groups[0]["lr"])


class PpoStep:
    """Makes PPO batches.

    Args:
        policy: The model that writes responses, not wrapped.
        setup: The models and settings that all batches share.
        state: The state that passes from batch to batch.
        hooks: Functions of the caller.
        processes: The processes that have a copy of the policy; each computes its share of the samples.
    """

    def __init__(
        self, policy: Policy, setup: Setup, state: PpoState, hooks: Hooks, processes: Processes = ALONE
    ) -> None:
        self.policy = policy
        self.setup = setup
        self.settings = setup.ppo
        self.state = state
        self.hooks = hooks
        self.processes = processes

    def run(self, model: nn.Module, step: int, queries: Sequence[Query]) -> BatchProgress:
        """Makes one batch.

        Args:
            model: The model that is trained: the policy, or a wrapper of it.
            step: The batch's number in the run, from 1.
            queries: This process's share of the batch's queries.

        Raises:
            LooptopError: A score is not a finite number.
        """
        progress = self.generate(step, queries)
        self.hooks.reached(progress)
        self.score(progress)
        self.hooks.reached(progress)
        batch, comparison = self.compare(progress)
        self.hooks.reached(progress)
        # A person may have changed rewards and left samples out while the batch was held.
        rewards, progress.rows = self.processes.decide(lambda: self.hooks.rewards_and_rows(progress))
        if progress.rows:
            scores = torch.tensor(rewards, device=batch.mask.device)
            if len(progress.rows) < len(batch):
                rows = torch.tensor(progress.rows, device=batch.mask.device)
                scores, batch = scores[rows], batch.select(rows)
                comparison = comparison.select(rows, batch.mask.shape[1])
            scores, goal = self.advantages(batch, comparison, scores)
            progress.targets = goal
            self.make_passes(model, progress, batch, comparison, goal)
            progress.statistics = self.report(progress, batch, comparison, scores, goal)
        progress.stage = "updated"
        return progress

    def generate(self, step: int, queries: Sequence[Query]) -> BatchProgress:
        """Stage 1: the policy writes a response to each query, with random numbers of the sample's own."""
        setup, rows = self.setup, own_rows(self.settings.samples, self.processes)
        numbers = uniforms(setup.seed, TRAINING, step, rows, setup.generation.max_new_tokens)
        with self.hooks.autocast():
            own = roll_out(self.policy, queries, numbers, setup.generation, setup.tokenizer, setup.special)
        return BatchProgress(step, gather_rollout(own, self.processes), own.responses.output)

    def score(self, progress: BatchProgress) -> None:
        """Stage 2: the reward models score the responses, in the first process alone; a reward is the weighted sum."""
        if self.processes.is_first:
            setup, rollout = self.setup, progress.rollout
            queries = [query.text for query in rollout.queries]
            try:
                progress.scores = setup.reward.score(queries, rollout.texts)
            except LooptopError as error:
                raise LooptopError(f"batch {progress.step}: {error}") from None
            progress.rewards = rewards_of(setup.reward, progress.scores, rollout.responses.ended, setup.generation)
            progress.quality = qualities(setup.quality, queries, rollout.texts)
        progress.stage = "scored"

    def compare(self, progress: BatchProgress) -> tuple[Batch, Comparison]:
        """Stage 3: how far the policy is from the reference on each token."""
        progress.batch = batch = self.pad(progress.rollout).to(self.policy.device)
        with self.hooks.autocast():
            progress.comparison = compute_across_processes(
                lambda part: compare(self.policy, self.setup.reference, part, self.settings, progress.output),
                batch,
                self.processes,
            )
        progress.stage = "compared"
        return batch, progress.comparison

    def pad(self, rollout: Rollout) -> Batch:
        """Queries and responses side by side as tensors."""
        return Batch.of(
            [query.ids for query in rollout.queries],
            rollout.responses.ids,
            pad_id=self.setup.special.pad_id,
            end_id=self.setup.special.end_id,
            start_tokens=self.policy.start_tokens,
        )

    def advantages(self, batch: Batch, comparison: Comparison, scores: Tensor) -> tuple[Tensor, Targets]:
        """Stage 4 begins: scores are scaled, joined by the KL to each token's reward, and made into advantages.

        Args:
            batch: The samples that take part.
            comparison: The comparison of these samples.
            scores: The rewards of these samples, finite, `[batch]`.

        Returns:
            The scaled scores, and the training targets of the passes.
        """
        state, settings = self.state, self.settings
        if settings.use_score_scaling:
            state.moments = state.moments.updated(scores)
        scores = algorithm.scale_scores(scores, state.moments, settings)
        return scores, algorithm.targets(comparison.kl, comparison.values, scores, batch.mask, state.kl_coef, settings)

    def make_passes(
        self, model: nn.Module, progress: BatchProgress, batch: Batch, comparison: Comparison, goal: Targets
    ) -> None:
        """The passes: each is a permutation of the batch in mini-batches, of which some make one optimiser step."""
        settings = self.settings
        for epoch in range(settings.ppo_epochs):
            rows = torch.from_numpy(self.state.order.permutation(len(batch))).to(batch.mask.device)
            mini_batches = rows.split(settings.mini_batch_size)
            for begin in range(0, len(mini_batches), settings.gradient_accumulation_steps):
                group = mini_batches[begin : begin + settings.gradient_accumulation_steps]
                with without_dropout(model):
                    seen = [self.learn(model, batch, comparison, goal, part, len(group)) for part in group]
                progress.mini_batches += seen
                ends_pass = begin + len(group) == len(mini_batches)
                policy_kl = seen[-1].scalars["policy/policykl"]
                stops = ends_pass and settings.early_stopping and policy_kl > 1.5 * settings.target_kl
                last = ends_pass and (stops or epoch == settings.ppo_epochs - 1)
                self.hooks.optimizer_step(progress.step, seen, last)
                if stops:
                    return

    def learn(
        self, model: nn.Module, batch: Batch, comparison: Comparison, goal: Targets, rows: Tensor, parts: int
    ) -> MiniBatch:
        """One mini-batch: the policy's output now against that before the update, the losses, their gradients.

        Args:
            model: The model that is trained.
            batch: The samples that take part.
            comparison: The comparison of these samples.
            goal: The training targets of these samples.
            rows: The samples of the mini-batch, `[samples]`.
            parts: The number of mini-batches of the optimiser's step.
        """
        mask = batch.select(rows).mask
        length = mask.shape[1]
        old = comparison.select(rows, length).logprobs
        goal = Targets(*(getattr(goal, part.name)[rows, :length] for part in fields(goal)))
        # Autocast belongs around each forward pass (where accelerate puts it), not around the passes: while it is open
        # it keeps the weights that it has cast, though the optimiser has changed them since.
        now = forward_across_processes(model, batch, rows, length, self.processes)
        loss = algorithm.losses(now.logprobs, now.values, old, goal, mask, self.settings)
        # The processes' gradients are averaged, and each has only its share of the sum.
        self.hooks.backward(loss.total * self.processes.count / parts)
        seen = mini_batch_statistics(rows, now.logprobs, now.values, now.entropy, old, goal, loss, mask)
        missing = (0, batch.mask.shape[1] - length)
        return MiniBatch(rows, seen.scalars, pad(seen.advantages, missing), pad(seen.ratio, missing, value=1.0))

    def report(
        self, progress: BatchProgress, batch: Batch, comparison: Comparison, scores: Tensor, goal: Targets
    ) -> Statistics:
        """The batch's statistics under TRL's names, and beta for the next batch."""
        statistics = batch_statistics(batch, comparison, goal, scores, self.state.kl_coef)
        statistics |= update_statistics(progress.mini_batches)
        statistics["ppo/learning_rate"] = self.hooks.learning_rate()
        kl = float(statistics["objective/kl"])
        self.state.kl_coef = algorithm.next_kl_coef(self.state.kl_coef, kl, len(batch), self.settings)
        return statistics


@torch.no_grad()
def compare(
    policy: nn.Module,
    reference: Callable[..., PolicyOutput],
    batch: Batch,
    settings: PpoSettings,
    output: PolicyOutput | None = None,
) -> Comparison:
    """Policy and reference on given responses, dropout off.

    Args:
        policy: A policy, or a wrapper of one.
        reference: Another, frozen policy, or anything that returns a policy's outputs for responses.
        batch: The samples.
        settings: The kind of KL, and the size of a mini-batch.
        output: The policy's output, computed while it wrote the responses, `[batch, response length]`. It is computed
            again if it is None or if the whole distribution is needed.
    """
    full = settings.kl_penalty == "full"
    # If the policy is computed here, the groups are as large as mini-batches: sums are then made in the order of the
    # passes, and the ratios of the first pass are exactly 1.
    size = settings.mini_batch_size if output is None or full else max(settings.mini_batch_size, REFERENCE_BATCH_SIZE)
    whole = {part.name: torch.zeros(batch.mask.shape, device=batch.mask.device) for part in fields(Comparison)}
    with without_dropout(policy, reference):
        for rows, samples in batch.split(size):
            inputs, length = samples.model_inputs(), samples.mask.shape[1]
            if output is None or full:
                ours = policy(**inputs, return_distribution=full)
            else:
                ours = PolicyOutput(*(part[rows, :length] for part in output[:3]))
            theirs = reference(**inputs, return_distribution=full)
            if theirs.log_distribution is None:
                kl = algorithm.kl_penalty(ours.logprobs, theirs.logprobs, settings.kl_penalty)
            else:
                kl = torch.zeros_like(ours.logprobs)
                kl[samples.response_mask] = algorithm.full_kl(ours.log_distribution, theirs.log_distribution)
            part = Comparison(ours.logprobs, theirs.logprobs, ours.values, ours.entropy, kl)
            for name, tensor in whole.items():
                tensor[rows, :length] = getattr(part, name)
    return Comparison(**whole)
