"""The arithmetic of PPO, against brute force and what must hold of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from looptop.engine.config.ppo import PpoSettings
from looptop.engine.ppo import algorithm
from looptop.engine.ppo.algorithm import (
    Targets,
    entropy,
    generalized_advantages,
    losses,
    masked_mean,
    masked_variance,
    targets,
    token_rewards,
    whiten,
)


@st.composite
def responses(draw: st.DrawFn, least: int = 1) -> tuple[Tensor, torch.Generator]:
    """A mask of responses of several lengths, and a source of numbers."""
    lengths = draw(st.lists(st.integers(least, 9), min_size=1, max_size=6))
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    return mask, torch.Generator().manual_seed(draw(st.integers(0, 10_000)))


def numbers(mask: Tensor, source: torch.Generator, scale: float = 1.0) -> Tensor:
    return torch.randn(mask.shape, generator=source, dtype=torch.float64) * scale


def wider(tensor: Tensor, fill: float | bool) -> Tensor:
    return torch.cat([tensor, torch.full((len(tensor), 3), fill, dtype=tensor.dtype)], dim=1)


@given(responses(least=2), st.floats(0.1, 100), st.floats(-50, 50))
def test_whitened_values_have_mean_0_and_variance_1_or_less_where_they_hardly_differ(
    case: tuple[Tensor, torch.Generator], scale: float, shift: float
) -> None:
    mask, source = case
    values = numbers(mask, source, scale) + shift
    inside = whiten(values, mask)[mask]
    torch.testing.assert_close(inside.mean(), torch.zeros((), dtype=torch.float64), atol=1e-6, rtol=0)
    variance = values[mask].var()
    torch.testing.assert_close(inside.var(), variance / (variance + 1e-8), atol=1e-6, rtol=0)
    kept = whiten(values, mask, shift_mean=False)[mask]
    torch.testing.assert_close(kept.mean(), values[mask].mean(), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(kept - kept.mean(), inside - inside.mean(), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_tokens_for_a_variance_give_numbers_all_the_same(count: int) -> None:
    values, mask = torch.tensor([[3.0, 4.0]]), torch.tensor([[count == 1, False]])
    assert masked_mean(values, mask).item() == 3.0 * count
    assert masked_variance(values, mask).item() == 0
    assert torch.isfinite(whiten(values, mask)).all()


@given(responses(), st.floats(0, 1), st.floats(0, 1))
def test_advantages_are_the_sum_over_all_later_steps(
    case: tuple[Tensor, torch.Generator], gamma: float, lam: float
) -> None:
    mask, source = case
    values, rewards = numbers(mask, source), numbers(mask, source)
    result = generalized_advantages(values, rewards, gamma, lam)
    width = mask.shape[1]
    for row in range(len(mask)):
        for t in range(width):
            wanted = 0.0
            for later in range(t, width):
                following = values[row, later + 1].item() if later + 1 < width else 0.0
                delta = rewards[row, later].item() + gamma * following - values[row, later].item()
                wanted += (gamma * lam) ** (later - t) * delta
            assert result[row, t].item() == pytest.approx(wanted, abs=1e-9)


@given(responses())
def test_with_gamma_and_lambda_1_the_return_is_the_sum_of_the_rewards_to_come(
    case: tuple[Tensor, torch.Generator],
) -> None:
    mask, source = case
    values, rewards = numbers(mask, source), numbers(mask, source)
    returns = generalized_advantages(values, rewards, 1.0, 1.0) + values
    torch.testing.assert_close(returns, rewards.flip(1).cumsum(1).flip(1))


@given(responses(), st.floats(0, 2))
def test_the_score_stands_at_the_last_token_that_counts(case: tuple[Tensor, torch.Generator], beta: float) -> None:
    mask, source = case
    kl, scores = numbers(mask, source), torch.randn(len(mask), generator=source, dtype=torch.float64)
    rewards, from_kl = token_rewards(kl, scores, mask, beta)
    for row, length in enumerate(mask.sum(dim=1).tolist()):
        assert rewards[row, length - 1] == from_kl[row, length - 1] + scores[row]
        assert torch.equal(rewards[row, : length - 1], -beta * kl[row, : length - 1])


def test_a_sample_in_which_nothing_counts_gets_no_score() -> None:
    rewards, _ = token_rewards(
        torch.zeros(2, 3), torch.tensor([5.0, 7.0]), torch.tensor([[True] * 3, [False] * 3]), 0.2
    )
    assert rewards.tolist() == [[0, 0, 5.0], [0, 0, 0]]


@given(responses(), st.sampled_from([0.0, float("nan"), float("inf"), -1e30]))
def test_padding_changes_nothing(case: tuple[Tensor, torch.Generator], garbage: float) -> None:
    mask, source = case
    kl, values, old, new_values = (numbers(mask, source) for _ in range(4))
    new = old + numbers(mask, source, 0.3)
    scores = torch.randn(len(mask), generator=source, dtype=torch.float64)
    chosen = PpoSettings()

    def dirty(tensor: Tensor) -> Tensor:
        return wider(torch.where(mask, tensor, garbage), garbage)

    taught = targets(kl, values, scores, mask, 0.2, chosen)
    padded = targets(dirty(kl), dirty(values), scores, wider(mask, False), 0.2, chosen)
    for name in ("rewards", "values", "advantages", "returns"):
        torch.testing.assert_close(getattr(padded, name)[:, : mask.shape[1]][mask], getattr(taught, name)[mask])

    leaf, padded_leaf = (tensor.clone().requires_grad_() for tensor in (new, dirty(new)))
    value_leaf, padded_value_leaf = (tensor.clone().requires_grad_() for tensor in (new_values, dirty(new_values)))
    plain = losses(leaf, value_leaf, old, taught, mask, chosen)
    more = losses(padded_leaf, padded_value_leaf, dirty(old), padded, wider(mask, False), chosen)
    for name in ("policy", "value", "total", "policy_clipfrac", "value_clipfrac"):
        torch.testing.assert_close(getattr(more, name), getattr(plain, name))
    plain.total.backward()
    more.total.backward()
    for one, two in ((leaf, padded_leaf), (value_leaf, padded_value_leaf)):
        assert one.grad is not None and two.grad is not None
        torch.testing.assert_close(two.grad[:, : mask.shape[1]][mask], one.grad[mask])
        assert not two.grad[:, mask.shape[1] :].any()


def a_mini_batch(shift: float) -> tuple[Tensor, Tensor, Tensor, Targets, Tensor]:
    source = torch.Generator().manual_seed(0)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    old, values = torch.randn(2, 4, generator=source), torch.randn(2, 4, generator=source)
    taught = targets(torch.zeros(2, 4), values, torch.tensor([1.0, -1.0]), mask, 0.2, PpoSettings())
    return (old + shift).requires_grad_(), values.clone().requires_grad_(), old, taught, mask


def test_before_the_first_step_every_ratio_is_1_and_the_surrogate_is_minus_the_mean_advantage() -> None:
    new, values, old, taught, mask = a_mini_batch(0.0)
    result = losses(new, values, old, taught, mask, PpoSettings())
    assert (result.ratio == 1).all()
    assert result.policy.item() == pytest.approx(-masked_mean(taught.advantages, mask).item(), abs=1e-6)
    assert result.policy_clipfrac.item() == result.value_clipfrac.item() == 0


@pytest.mark.parametrize("shift", [3.0, 500.0])
def test_a_mini_batch_whose_mean_ratio_is_too_large_teaches_nothing_but_still_has_gradients(shift: float) -> None:
    new, values, old, taught, mask = a_mini_batch(shift)
    result = losses(new, values, old, taught, mask, PpoSettings(ratio_threshold=10.0))
    assert result.policy.item() == result.value.item() == result.total.item() == 0
    result.total.backward()
    for leaf in (new, values):
        assert leaf.grad is not None and not leaf.grad.any()


def test_the_policy_loss_gains_nothing_beyond_the_clip_range() -> None:
    advantages, mask = torch.tensor([[1.0, -1.0]]), torch.ones(1, 2, dtype=torch.bool)
    near, _ = algorithm.policy_loss(torch.tensor([[1.2, 0.8]]), advantages, mask, 0.2)
    far, clipped = algorithm.policy_loss(torch.tensor([[3.0, 0.1]]), advantages, mask, 0.2)
    assert far.item() == pytest.approx(near.item())
    assert clipped.item() == 1
    worse, _ = algorithm.policy_loss(torch.tensor([[0.1, 3.0]]), advantages, mask, 0.2)
    assert worse.item() == pytest.approx((-0.1 + 3.0) / 2)


def test_the_entropy_of_known_distributions() -> None:
    uniform, certain = torch.zeros(8).log_softmax(0), torch.tensor([0.0, *[-torch.inf] * 7]).log_softmax(0)
    assert entropy(torch.stack([uniform, certain])).tolist() == pytest.approx([2.0794415, 0.0])


def test_whitened_rewards_keep_their_mean_and_reach_behind_a_response(monkeypatch: pytest.MonkeyPatch) -> None:
    """As TRL 0.11.4 did: what stands behind the end is whitened too. The one place where padding shows."""
    seen: list[Any] = []
    real = algorithm.generalized_advantages
    monkeypatch.setattr(algorithm, "generalized_advantages", lambda *args: seen.append(args[1]) or real(*args))
    mask = torch.tensor([[True, True, True], [True, False, False]])
    kl = torch.tensor([[1.0, 2.0, 0.5], [1.0, 0.0, 0.0]])
    targets(kl, torch.zeros(2, 3), torch.tensor([1.0, -2.0]), mask, 0.2, PpoSettings(whiten_rewards=True))
    (whitened,) = seen
    assert whitened[mask].var().item() == pytest.approx(1, abs=1e-4)
    assert whitened[1, 1] == whitened[1, 2] != 0
