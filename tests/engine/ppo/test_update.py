"""A batch's way from the comparison to the optimiser's steps, apart from the recordings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from looptop.engine.config.ppo import PpoSettings
from looptop.engine.ppo.batch import Batch
from looptop.engine.ppo.compare import Comparison, compare
from looptop.engine.ppo.policy import Policy
from looptop.engine.ppo.statistics import MiniBatch
from looptop.engine.ppo.update import PpoState, Ready, passes, report, teach, update
from tests.engine.ppo.golden import END, PAD, load

SCORES = torch.linspace(-1, 2, 32)


@pytest.fixture(params=["", "gpt2_"])
def models(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Policy, Policy]:
    return load(f"{request.param}policy_before", tmp_path), load(f"{request.param}reference", tmp_path)


def batch_for(policy: Policy, samples: int = 32, **more: Any) -> Batch:
    draw = np.random.RandomState(5)
    queries = [draw.randint(2, 60, draw.randint(2, 8)).tolist() for _ in range(samples)]
    responses = [draw.randint(2, 60, draw.randint(0, 8)).tolist() for _ in range(samples)]
    return Batch.of(queries, responses, pad_id=PAD, end_id=END, start_tokens=policy.start_tokens, **more)


class Counting(torch.optim.SGD):
    steps = 0

    def step(self, closure: Any = None) -> Any:
        self.steps += 1
        return super().step(closure)


def run(
    policy: Policy, reference: Any, batch: Batch, settings: PpoSettings, scores: torch.Tensor = SCORES, lr: float = 1e-3
) -> tuple[dict[str, Any], Counting, PpoState]:
    optimizer, state = Counting(policy.parameters(), lr=lr), PpoState.begin(settings, seed=3)
    comparison = compare(policy, reference, batch, settings)
    return update(policy, optimizer, batch, comparison, scores, state, settings), optimizer, state


def test_the_listings_batch_is_one_permutation_and_one_step_a_pass(models: tuple[Policy, Policy]) -> None:
    """Listing 7.6: batch 4, accumulation 8. A PPO batch of 32, in each pass 8 mini-batches of 4 and one step."""
    policy, reference = models
    batch, settings = batch_for(policy), PpoSettings(mini_batch_size=4, gradient_accumulation_steps=8)
    _, optimizer, state = run(policy, reference, batch, settings)
    assert optimizer.steps == settings.ppo_epochs == 4
    order = np.random.RandomState(3)
    seen = [order.permutation(32) for _ in range(4)]
    assert all(sorted(rows) == list(range(32)) for rows in seen)
    assert np.array_equal(order.get_state()[1], state.order.get_state()[1])  # type: ignore[index]
    assert order.get_state()[2] == state.order.get_state()[2]  # type: ignore[index]


def test_the_mini_batches_of_a_pass_are_the_permutation_in_order(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    batch, settings = batch_for(policy), PpoSettings(mini_batch_size=4, gradient_accumulation_steps=4, ppo_epochs=2)
    comparison = compare(policy, reference, batch, settings)
    state = PpoState.begin(settings, seed=3)
    _, taught = teach(batch, comparison, SCORES, state, settings)
    ready = list(passes(policy, batch, comparison, taught, state.order, settings))
    assert [step.last for step in ready] == [False, False, False, True]
    assert [len(step.mini_batches) for step in ready] == [4, 4, 4, 4]
    rows = torch.cat([part.rows for step in ready for part in step.mini_batches])
    order = np.random.RandomState(3)
    assert rows.tolist() == [*order.permutation(32), *order.permutation(32)]


def test_accumulated_gradients_are_the_mean_over_mini_batches(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    batch = Batch.of([[5, 6]] * 8, [[7, 8, 1]] * 8, pad_id=PAD, end_id=END, start_tokens=policy.start_tokens)
    scores = torch.linspace(-1, 1, 8)
    gradients = []
    for size in (8, 2):
        settings = PpoSettings(mini_batch_size=size, gradient_accumulation_steps=8 // size, ppo_epochs=1)
        comparison = compare(policy, reference, batch, settings)
        state = PpoState.begin(settings, seed=0)
        _, taught = teach(batch, comparison, scores, state, settings)
        policy.zero_grad()
        (_,) = passes(policy, batch, comparison, taught, state.order, settings)
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
    batch = batch_for(policy)
    comparison, state = compare(policy, reference, batch, settings), PpoState.begin(settings, seed=3)
    _, taught = teach(batch, comparison, SCORES, state, settings)
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.05)
    steps: list[Ready] = []
    for ready in passes(policy, batch, comparison, taught, state.order, settings):
        steps.append(ready)
        optimizer.step()
        optimizer.zero_grad()
    moved = [step.mini_batches[-1].scalars["policy/policykl"] > 1.5e-9 for step in steps[1::2]]
    assert moved[:-1] == [False] * (len(moved) - 1)
    assert len(steps) < 10
    assert moved[-1]
    assert [step.last for step in steps] == [False] * (len(steps) - 1) + [True]


def test_a_sample_in_which_nothing_counts_teaches_nothing(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    settings = PpoSettings(mini_batch_size=1, ppo_epochs=1)
    whole = batch_for(policy, 4)
    batch = replace(whole, mask=whole.mask & (torch.arange(4) != 2).unsqueeze(1))
    statistics, optimizer, _ = run(policy, reference, batch, settings, SCORES[:4])
    assert optimizer.steps == 4
    assert all(torch.isfinite(weight).all() for weight in policy.parameters())
    assert np.isfinite(statistics["ppo/loss/total"])


def test_samples_can_be_left_out_after_the_comparison(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    settings = PpoSettings(mini_batch_size=4, gradient_accumulation_steps=8, ppo_epochs=2)
    batch = batch_for(policy)
    comparison = compare(policy, reference, batch, settings)
    kept = torch.tensor([row for row in range(32) if row != 7])
    fewer = batch.select(kept)
    optimizer = Counting(policy.parameters(), lr=1e-3)
    state = PpoState.begin(settings, seed=3)
    rest = comparison.select(kept, fewer.mask.shape[1])
    statistics = update(policy, optimizer, fewer, rest, SCORES[kept], state, settings)
    assert optimizer.steps == 2
    kl_dist = statistics["objective/kl_dist"]
    assert isinstance(kl_dist, torch.Tensor) and len(kl_dist) == 31


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


def test_a_state_goes_on_from_a_checkpoint() -> None:
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


def test_whoever_steps_the_optimiser_elsewhere_gets_the_same(models: tuple[Policy, Policy]) -> None:
    policy, reference = models
    before = {name: weight.clone() for name, weight in policy.state_dict().items()}
    batch, settings = batch_for(policy), PpoSettings(mini_batch_size=8)
    wanted, _, _ = run(policy, reference, batch, settings)
    after = {name: weight.clone() for name, weight in policy.state_dict().items()}

    policy.load_state_dict(before)
    optimizer, state = torch.optim.SGD(policy.parameters(), lr=1e-3), PpoState.begin(settings, seed=3)
    comparison: Comparison = compare(policy, reference, batch, settings)
    scores, taught = teach(batch, comparison, SCORES, state, settings)
    seen: list[MiniBatch] = []
    for ready in passes(policy, batch, comparison, taught, state.order, settings):
        seen += ready.mini_batches
        if not ready.last:
            optimizer.step()
            optimizer.zero_grad()
    found = report(batch, comparison, scores, taught, seen, 1e-3, state, settings)
    optimizer.step()
    assert all(torch.equal(after[name], weight) for name, weight in policy.state_dict().items())
    assert {name: value for name, value in found.items() if isinstance(value, float)} == {
        name: value for name, value in wanted.items() if isinstance(value, float)
    }
