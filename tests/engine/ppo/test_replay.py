"""Every statistic of every step of the recordings of TRL 0.11.4, and the weights that came of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.engine.ppo.golden import GOLDEN, Replay, compare_statistics, read, steps

EXTRA = sorted(path.stem for path in GOLDEN.glob("extra_*.json"))


@pytest.mark.parametrize("name", ["default", "kl_full", "accumulated", *EXTRA])
def test_a_recording_is_played_again(name: str, tmp_path: Path) -> None:
    recorded = read(name)
    replay = Replay(recorded, tmp_path, models="gpt2_" if "gpt2" in name else "")
    for step in steps(recorded):
        batch, statistics = replay.step(step)
        compare_statistics(statistics, step["stats"], replay, batch)


def test_the_weights_after_three_steps_are_the_recorded_ones(tmp_path: Path) -> None:
    recorded = read("default")
    replay = Replay(recorded, tmp_path)
    for step in recorded["steps"]:
        replay.step(step)
    after = load_file(GOLDEN / "policy_after.safetensors")
    weights = replay.policy.state_dict()
    assert after.keys() == weights.keys()
    for name, wanted in after.items():
        torch.testing.assert_close(
            weights[name], wanted, rtol=0, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
