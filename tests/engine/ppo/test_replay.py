"""Every statistic of every step of the recordings of TRL 0.11.4, and the weights that came of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.engine.ppo.golden import GOLDEN, NUDGES, Replay, compare_statistics, read, steps

EXTRA = sorted(path.stem for path in GOLDEN.glob("extra_*.json"))


@pytest.mark.parametrize("name", ["default", "kl_full", "accumulated", *EXTRA])
def test_a_recording_is_played_again(name: str, tmp_path: Path) -> None:
    recorded = read(name)
    replay, *nudged = (
        Replay(recorded, tmp_path / str(nudge), "gpt2_" if "gpt2" in name else "", nudge) for nudge in (0, *NUDGES)
    )
    for step in steps(recorded):
        batch, statistics = replay.step(step)
        others = [other.step(step)[1] for other in nudged]
        compare_statistics(statistics, step["stats"], replay, batch, others)


def test_the_weights_after_three_steps_are_the_recorded_ones(tmp_path: Path) -> None:
    recorded = read("default")
    replays = [Replay(recorded, tmp_path / str(nudge), nudge=nudge) for nudge in (0, *NUDGES)]
    for step in recorded["steps"]:
        for replay in replays:
            replay.step(step)
    after = load_file(GOLDEN / "policy_after.safetensors")
    weights, *nudged = (replay.policy.state_dict() for replay in replays)
    assert after.keys() == weights.keys()
    uncertain = 0
    for name, wanted in after.items():
        spread = torch.stack([other[name] - weights[name] for other in nudged]).abs().amax(0)
        excess = (weights[name] - wanted).abs() - 4 * spread
        assert excess.max() <= 1e-6, name
        uncertain += int((spread > 1e-6).sum())
    assert uncertain <= 5, "of 130,000"
