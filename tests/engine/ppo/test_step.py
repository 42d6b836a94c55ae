"""A PPO step from the comparison to the optimiser's steps, apart from the recordings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from looptop.engine.config.ppo import GenerationConfig, PpoSettings, RewardConfig
from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.data import Query
from looptop.engine.ppo.policy import Policy
from looptop.engine.ppo.rewards import Reward
from looptop.engine.ppo.rollout import Responses, Rollout, SpecialIds
from looptop.engine.ppo.statistics import MiniBatch
from looptop.engine.ppo.step import BatchProgress, Hooks, PpoState, PpoStep, Setup, compare
from tests.engine.ppo.golden import END, PAD, load

SCORES = torch.linspace(-1, 2, 32)


@pytest.fixture(params=["", "gpt2_"])
def models(request: pytest.FixtureRequest) -> tuple[Policy, Policy]:
    return load(f"{request.param}policy_before"), load(f"{request.param}reference")


def batch_for(policy: Policy, samples: int = 32, **more: Any) -> Batch:
    draw = np.random.RandomState(5)
    queries = [draw.randint(2, 60, draw.randint(2, 8)).tolist() for _ in range(samples)]
    responses = [draw.randint(2, 60, draw.randint(0, 8)).tolist() for _ in range(samples)]
    return Batch.of(queries, responses, pad_id=PAD, end_id=END, start_tokens=policy.start_tokens, **more)


class GivenStep(PpoStep):
    """A step whose queries and responses are a batch that is given."""

    given: Batch

    def generate(self, step: int, queries: Sequence[Query]) -> BatchProgress:
        count = len(self.given)
        texts = [""] * count
        asked = [Query(row, "", [1], False) for row in range(count)]
        return BatchProgress(step, Rollout(asked, Responses([[END]] * count, [True] * count), texts))

    def pad(self, rollout: Rollout) -> Batch:
        return self.given


class Watching(Hooks):
    """Counts the optimiser's steps and keeps what they came from."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        super().__init__(optimizer)
        self.seen: list[tuple[list[MiniBatch], bool]] = []

    def optimizer_step(self, step: int, mini_batches: Sequence[MiniBatch], last: bool) -> None:
        self.seen.append((list(mini_batches), last))
        super().optimizer_step(step, mini_batches, last)


class LeavesTheLast(Watching):
    """Leaves the last step of a batch to the caller, as Trainer's hooks do."""

    def optimizer_step(self, step: int, mini_batches: Sequence[MiniBatch], last: bool) -> None:
        if not last:
            super().optimizer_step(step, mini_batches, last)


class NoOptimizer(Watching):
    """Leaves the gradients as they are."""

    def optimizer_step(self, step: int, mini_batches: Sequence[MiniBatch], last: bool) -> None:
        self.seen.append((list(mini_batches), last))


def step_of(
    policy: Policy, reference: Any, batch: Batch, settings: PpoSettings, scores: torch.Tensor, hooks: Hooks
) -> GivenStep:
    reward = Reward((RewardConfig(name="given", person=True),), (lambda *_: scores.tolist(),))
    setup = Setup(reference, reward, None, None, SpecialIds(PAD, END), GenerationConfig(), settings, 0)
    step = GivenStep(policy, setup, PpoState.begin(settings, seed=3), hooks)
    step.given = batch
    return step


def run(
    policy: Policy,
    reference: Any,
    batch: Batch,
    settings: PpoSettings,
    scores: torch.Tensor = SCORES,
    lr: float = 1e-3,
    hooks: type[Watching] = Watching,
) -> tuple[dict[str, Any], Watching, PpoState]:
    watching = hooks(torch.optim.SGD(policy.parameters(), lr=lr))
    step = step_of(policy, reference, batch, settings, scores, watching)
    return step.run(policy, 1, ()).statistics, watching, step.state


def test_the_listings_batch_is_one_permutation_and_one_step_a_pass(models: tuple[Policy, Policy]) -> None:
    """Listing 7.6: batch 4, accumulation 8. A PPO batch of 32, in each pass 8 mini-batches of 4 and one step."""
    policy, reference = models
    batch, settings = batch_for(policy), PpoSettings(mini_batch_size=4, gradient_accumulation_steps=8)
    _, hooks, state = run(policy, reference, batch, settings)
    assert len(hooks.seen) == settings.ppo_epochs == 4
    order = np.random.RandomState(3)
    for _ in range(4):
        order.permutation(32)
    _, expected, drawn, *_ = order.get_state(legacy=True)
    _, actual, drawn_by_step, *_ = state.order.get_state(legacy=True)
    assert np.array_equal(expected, actual) and drawn == drawn_by_step


def test_the_mini_batches_of_a_pass_are_the_permutation_in_order(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    batch, settings = batch_for(policy), PpoSettings(mini_batch_size=4, gradient_accumulation_steps=4, ppo_epochs=2)
    _, hooks, _ = run(policy, reference, batch, settings, hooks=NoOptimizer)
    assert [last for _, last in hooks.seen] == [False, False, False, True]
    assert [len(mini_batches) for mini_batches, _ in hooks.seen] == [4, 4, 4, 4]
    rows = torch.cat([part.rows for mini_batches, _ in hooks.seen for part in mini_batches])
    order = np.random.RandomState(3)
    assert rows.tolist() == [*order.permutation(32), *order.permutation(32)]


def test_accumulated_gradients_are_the_mean_over_mini_batches(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    batch = Batch.of([[5, 6]] * 8, [[7, 8, 1]] * 8, pad_id=PAD, end_id=END, start_tokens=policy.start_tokens)
    scores = torch.linspace(-1, 1, 8)
    gradients = []
    for size in (8, 2):
        settings = PpoSettings(mini_batch_size=size, gradient_accumulation_steps=8 // size, ppo_epochs=1)
        policy.zero_grad()
        _, hooks, _ = run(policy, reference, batch, settings, scores, hooks=NoOptimizer)
        assert len(hooks.seen) == 1
        gradients.append([weight.grad.clone() for weight in policy.parameters() if weight.grad is not None])
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-3)


def test_a_policy_is_at_no_distance_from_itself(models: tuple[Policy, Policy]) -> None:
    policy, _ = models
    for kind in ("kl", "abs", "mse", "full"):
        comparison = compare(policy, policy, batch_for(policy), PpoSettings(kl_penalty=kind))
        assert not comparison.kl.any()


def test_dropout_is_off_and_the_model_is_left_in_the_mode_it_was_in(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    for module in policy.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    policy.train()
    statistics, _, _ = run(policy, reference, batch_for(policy), PpoSettings(ppo_epochs=1, mini_batch_size=32))
    assert policy.training
    assert statistics["ppo/policy/approxkl"] == pytest.approx(0, abs=1e-9)


def test_early_stopping_leaves_out_the_passes_that_remain(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    settings = PpoSettings(early_stopping=True, target_kl=1e-9, mini_batch_size=16, ppo_epochs=5)
    _, hooks, _ = run(policy, reference, batch_for(policy), settings, lr=0.05)
    moved = [mini_batches[-1].scalars["policy/policykl"] > 1.5e-9 for mini_batches, _ in hooks.seen[1::2]]
    assert moved[:-1] == [False] * (len(moved) - 1)
    assert len(hooks.seen) < 10
    assert moved[-1]
    assert [last for _, last in hooks.seen] == [False] * (len(hooks.seen) - 1) + [True]


def test_a_sample_in_which_nothing_counts_teaches_nothing(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    settings = PpoSettings(mini_batch_size=1, ppo_epochs=1)
    whole = batch_for(policy, 4)
    batch = replace(whole, mask=whole.mask & (torch.arange(4) != 2).unsqueeze(1))
    statistics, hooks, _ = run(policy, reference, batch, settings, SCORES[:4])
    assert len(hooks.seen) == 4
    assert all(torch.isfinite(weight).all() for weight in policy.parameters())
    assert np.isfinite(statistics["ppo/loss/total"])


class Editing(Watching):
    """Changes what a person can change while the batch is held after its comparison."""

    rewards: Sequence[float] | None = None
    rows: Sequence[int] = ()

    def rewards_and_rows(self, progress: BatchProgress) -> tuple[list[float], list[int]]:
        assert progress.stage == "compared"
        return list(progress.rewards if self.rewards is None else self.rewards), list(self.rows)


def test_samples_can_be_left_out_after_the_comparison(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    settings = PpoSettings(mini_batch_size=4, gradient_accumulation_steps=8, ppo_epochs=2)
    hooks = Editing(torch.optim.SGD(policy.parameters(), lr=1e-3))
    hooks.rows = [row for row in range(32) if row != 7]
    progress = step_of(policy, reference, batch_for(policy), settings, SCORES, hooks).run(policy, 1, ())
    assert len(hooks.seen) == 2
    kl_dist = progress.statistics["objective/kl_dist"]
    assert isinstance(kl_dist, torch.Tensor) and len(kl_dist) == 31
    assert progress.statistics["ppo/mean_scores"] == pytest.approx(SCORES[hooks.rows].mean().item())


def test_a_batch_of_which_every_sample_is_left_out_changes_nothing(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    before = {name: weight.clone() for name, weight in policy.state_dict().items()}
    hooks = Editing(torch.optim.SGD(policy.parameters(), lr=1e-3))
    step = step_of(policy, reference, batch_for(policy), PpoSettings(use_score_scaling=True), SCORES, hooks)
    state = json.dumps(step.state.state_dict())
    progress = step.run(policy, 1, ())
    assert progress.stage == "updated" and not progress.statistics and not hooks.seen
    assert json.dumps(step.state.state_dict()) == state
    assert all(torch.equal(before[name], weight) for name, weight in policy.state_dict().items())


def test_edited_rewards_are_the_ones_that_count(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    hooks = Editing(torch.optim.SGD(policy.parameters(), lr=1e-3))
    hooks.rows, hooks.rewards = range(32), [0.5] * 32
    progress = step_of(policy, reference, batch_for(policy), PpoSettings(), SCORES, hooks).run(policy, 1, ())
    assert progress.statistics["ppo/mean_scores"] == pytest.approx(0.5)
    assert list(progress.rewards) == pytest.approx(SCORES.tolist())


class Stages(Watching):
    """Notes the stages, and how far the policy has moved at each."""

    policy: Policy
    before: torch.Tensor

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        super().__init__(optimizer)
        self.reached_stages: list[tuple[str, bool]] = []

    def reached(self, progress: BatchProgress) -> None:
        self.reached_stages.append((progress.stage, torch.equal(self.before, self.policy.lm_head.weight)))
        if progress.stage == "compared":
            raise KeyboardInterrupt


def test_a_batch_can_be_dropped_at_each_stage_before_it_changes_a_weight(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    hooks = Stages(torch.optim.SGD(policy.parameters(), lr=1e-3))
    hooks.policy, hooks.before = policy, policy.lm_head.weight.clone()
    step = step_of(policy, reference, batch_for(policy), PpoSettings(), SCORES, hooks)
    with pytest.raises(KeyboardInterrupt):
        step.run(policy, 1, ())
    assert hooks.reached_stages == [("generated", True), ("scored", True), ("compared", True)]
    assert not hooks.seen


def test_one_sample_alone_is_enough(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    statistics, _, _ = run(policy, reference, batch_for(policy, 1), PpoSettings(), SCORES[:1])
    assert np.isnan(statistics["ppo/std_scores"])
    assert all(torch.isfinite(weight).all() for weight in policy.parameters())


def test_padding_of_the_batch_changes_no_statistic(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    before = {name: weight.clone() for name, weight in policy.state_dict().items()}
    plain = batch_for(policy)
    side = (0, 3) if policy.start_tokens else (3, 0)
    pad = torch.nn.functional.pad
    padded = Batch(
        pad(plain.query_ids, side, value=9),
        pad(plain.query_mask, side),
        pad(plain.response_ids, (0, 3), value=9),
        pad(plain.response_mask, (0, 3)),
        pad(plain.mask, (0, 3)),
        plain.start_tokens,
    )
    one, _, _ = run(policy, reference, plain, PpoSettings(), lr=1e-3)
    policy.load_state_dict(before)
    two, _, _ = run(policy, reference, padded, PpoSettings(), lr=1e-3)
    for name, value in one.items():
        if isinstance(value, float):
            assert two[name] == pytest.approx(value, abs=1e-5, rel=1e-4), name


def test_a_state_is_restored_from_a_checkpoint() -> None:
    settings = PpoSettings(use_score_scaling=True)
    state = PpoState.begin(settings, seed=3)
    state.order.permutation(32)
    state.kl_coef, state.moments = 0.19, state.moments.updated(SCORES)
    written = json.dumps(state.state_dict())
    again = PpoState.begin(settings, seed=0)
    again.load_state_dict(json.loads(written))
    assert again.kl_coef == state.kl_coef
    assert again.moments == state.moments
    for _ in range(40):
        assert again.order.permutation(32).tolist() == state.order.permutation(32).tolist()


def test_a_caller_that_makes_the_last_step_itself_gets_the_same(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    before = {name: weight.clone() for name, weight in policy.state_dict().items()}
    batch, settings = batch_for(policy), PpoSettings(mini_batch_size=8)
    wanted, _, _ = run(policy, reference, batch, settings)
    after = {name: weight.clone() for name, weight in policy.state_dict().items()}

    policy.load_state_dict(before)
    statistics, hooks, _ = run(policy, reference, batch, settings, hooks=LeavesTheLast)
    hooks.optimizer.step()
    assert all(torch.equal(after[name], weight) for name, weight in policy.state_dict().items())
    assert {name: value for name, value in statistics.items() if isinstance(value, float)} == {
        name: value for name, value in wanted.items() if isinstance(value, float)
    }
