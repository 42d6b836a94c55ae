"""Distances to the reference and the control of their weight."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.config.ppo import KlPenalty, PpoSettings
from looptop.engine.ppo.algorithm import full_kl, kl_penalty, next_kl_coef

SAMPLED: tuple[KlPenalty, ...] = ("kl", "abs", "mse")


def distributions(seed: int, scale: float) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return (torch.randn(5, 11, generator=source, dtype=torch.float64) * scale).log_softmax(-1)


@given(st.integers(0, 1000), st.floats(0, 30))
def test_a_policy_is_at_no_distance_from_itself(seed: int, scale: float) -> None:
    own = distributions(seed, scale)
    assert not full_kl(own, own).any()
    for kind in SAMPLED:
        assert not kl_penalty(own[:, 0], own[:, 0], kind).any()


@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_the_full_kl_is_the_mean_of_the_sampled_one_and_never_below_0(seed: int, scale: float) -> None:
    policy, reference = distributions(seed, scale), distributions(seed + 1, scale)
    divergence = full_kl(policy, reference)
    expectation = (policy.exp() * kl_penalty(policy, reference, "kl")).sum(-1)
    torch.testing.assert_close(divergence, expectation)
    assert (divergence >= 0).all()


def test_the_kinds_in_numbers() -> None:
    policy, reference = torch.tensor([-1.0, -3.0]), torch.tensor([-2.0, -1.0])
    assert kl_penalty(policy, reference, "kl").tolist() == [1.0, -2.0]
    assert kl_penalty(policy, reference, "abs").tolist() == [1.0, 2.0]
    assert kl_penalty(policy, reference, "mse").tolist() == [0.5, 2.0]
    with pytest.raises(ValueError, match="full"):
        kl_penalty(policy, reference, "full")


def test_a_token_that_the_policy_never_says_adds_nothing() -> None:
    policy = torch.tensor([0.0, -torch.inf])
    assert full_kl(policy, torch.tensor([0.5, 0.5]).log()).item() == pytest.approx(0.6931472)
    assert full_kl(policy, policy).item() == 0


@pytest.mark.parametrize(
    ("kl", "factor"),
    [(6.0, 1.0), (6.6, 1 + 0.1 * 32 / 10_000), (600.0, 1 + 0.2 * 32 / 10_000), (-5.0, 1 - 0.2 * 32 / 10_000)],
)
def test_beta_follows_the_kl_within_a_fifth(kl: float, factor: float) -> None:
    assert next_kl_coef(0.2, kl, 32, PpoSettings()) == pytest.approx(0.2 * factor, rel=1e-12)


def test_a_fixed_beta_stays() -> None:
    assert next_kl_coef(0.35, 600.0, 32, PpoSettings(adap_kl_ctrl=False)) == 0.35
