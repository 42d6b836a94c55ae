"""Scores scaled by what was seen so far, and clipped."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.config.ppo import PpoSettings
from looptop.engine.ppo.algorithm import Moments, scale_scores

BATCHES = st.lists(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=8), min_size=1, max_size=6)


@given(BATCHES)
def test_moments_of_batches_are_those_of_all_scores(batches: list[list[float]]) -> None:
    moments = Moments()
    for batch in batches:
        moments = moments.updated(torch.tensor(batch))
    everything = torch.tensor([score for batch in batches for score in batch], dtype=torch.float64)
    assert moments.count == len(everything)
    assert moments.mean == pytest.approx(everything.mean().item(), abs=1e-9)
    assert moments.variance == pytest.approx(everything.var(correction=0).item(), abs=1e-8)
    if moments.count > 1 and moments.variance > 1e-12:
        assert moments.std == pytest.approx(everything.std().item(), rel=1e-6)


@pytest.mark.parametrize("scores", [[2.0], [2.0, 2.0, 2.0]])
def test_scores_without_a_deviation_are_not_blown_up(scores: list[float]) -> None:
    given_scores = torch.tensor(scores)
    moments = Moments().updated(given_scores)
    assert scale_scores(given_scores, moments, PpoSettings(use_score_scaling=True)).tolist() == pytest.approx(scores)


def test_scaling_centring_and_clipping() -> None:
    scores, moments = torch.tensor([1.0, 5.0, -9.0]), Moments(count=5, mean=1.0, variance=3.2)
    assert moments.std == pytest.approx(2.0)
    assert scale_scores(scores, moments, PpoSettings()).tolist() == [1, 5, -9]
    assert scale_scores(scores, moments, PpoSettings(score_clip=4.0)).tolist() == [1, 4, -4]
    assert scale_scores(scores, moments, PpoSettings(use_score_scaling=True)).tolist() == pytest.approx(
        [0.5, 2.5, -4.5]
    )
    both = PpoSettings(use_score_scaling=True, use_score_norm=True, score_clip=3.0)
    assert scale_scores(scores, moments, both).tolist() == pytest.approx([0.0, 2.0, -3.0])
    assert scale_scores(scores, moments, PpoSettings(use_score_norm=True)).tolist() == [1, 5, -9]
