"""The figures of a batch."""

from __future__ import annotations

import math

import pytest

from looptop.engine.ppo.batch_recorder import RecordedBatch, batch_figures
from tests.factories.ppo import scored_batch


def figures(batch: RecordedBatch, *rows: int) -> dict[str, float]:
    """All figures; of some samples, if these are given."""
    return batch_figures(batch, [1.0, 2.0, 3.0, 9.0], rows or None)


@pytest.fixture
def batch() -> RecordedBatch:
    """Four samples that differ."""
    return scored_batch(
        responses=[[5, 6, 7, 1], [5, 1], [5, 1], [5, 6]],
        texts=["a b c", "a", "a", "a b"],
        ended=[True, True, True, False],
        queries_cut=[True, False, False, False],
        rewards=[1.0, 2.0, 3.0, 6.0],
        scores={"short": [0.0, 1.0, 1.0, 2.0]},
    )


def test_the_figures_of_a_batch_are_means_and_shares_of_its_samples(batch: RecordedBatch) -> None:
    assert figures(batch) == {
        "time/batch": 0.0,
        "env/reward_mean": 3.0,
        "env/reward_std": pytest.approx(math.sqrt(14 / 3)),
        "env/reward_used": 3.75,
        "env/length": 2.5,
        "env/cut": 0.25,
        "env/distinct": 0.75,
        "env/query_cut": 0.25,
        "scores/short": 1.0,
    }


def test_samples_that_were_left_out_count_in_no_figure(batch: RecordedBatch) -> None:
    assert figures(batch, 1, 2) == {
        "time/batch": 0.0,
        "env/reward_mean": 2.5,
        "env/reward_std": pytest.approx(math.sqrt(0.5)),
        "env/reward_used": 2.5,
        "env/length": 2.0,
        "env/cut": 0.0,
        "env/distinct": 0.5,
        "env/query_cut": 0.0,
        "scores/short": 1.0,
    }
    assert figures(batch, 0)["env/reward_std"] == 0
    assert batch_figures(batch, [], []) == {"time/batch": 0.0}
