"""PPO's arithmetic on the device is that of TRL 0.11.4: recordings of TRL are replayed.

In fp32 (TF32 off) every statistic must agree as closely as in `tests/engine/ppo/test_replay.py`. For bf16 the
difference is only reported.
"""

from __future__ import annotations

import numpy as np
import torch

from looptop.engine.compute.device import pick
from scripts.gpu.checks import Checks
from tests.engine.ppo.golden import GOLDEN, NUDGES, Replay, compare_statistics, read, spread_of, steps

QUICK = ("default", "kl_full", "accumulated", "extra_gpt2")
REPORTED = ("objective/kl", "objective/logprobs", "ppo/loss/policy", "ppo/loss/value", "ppo/val/error")


def run(checks: Checks) -> None:
    """Replays each recording in fp32, and the default one in bf16."""
    pick(checks.device, "fp32").apply()
    names = sorted(path.stem for path in GOLDEN.glob("*.json") if "config" not in path.stem)
    for name in QUICK if checks.quick else names:
        with checks.check(f"{name}, fp32") as check:
            recorded = read(name)
            models = "gpt2_" if "gpt2" in name else ""
            replay, *nudged = (Replay(recorded, models, nudge, checks.device) for nudge in (0, *NUDGES))
            played = steps(recorded)
            for step in played:
                batch, statistics = replay.step(step)
                others = [other.step(step)[1] for other in nudged]
                compare_statistics(statistics, step["stats"], replay, batch, spread_of(statistics, others))
            check.measured(f"every statistic of {len(played)} steps within the tests' tolerance", steps=len(played))
    with checks.check("default, bf16") as check:
        recorded = read("default")
        replay = Replay(recorded, device=checks.device, precision=torch.bfloat16)
        batch, statistics = replay.step(recorded["steps"][0])
        wanted = recorded["steps"][0]["stats"]
        distances = {name: _distance(statistics[name], wanted[name], batch.mask.numpy()) for name in REPORTED}
        check.require(all(np.isfinite(list(distances.values()))), "a statistic is not a finite number")
        figure = ", ".join(f"{name} {value:.1e}" for name, value in distances.items())
        check.measured(f"largest differences from fp32's recording: {figure}", **distances)


def _distance(ours: object, theirs: object, mask: np.ndarray) -> float:
    """The largest difference; of figures of tokens, only those under the mask."""
    difference = np.abs(np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64))
    return float(difference[mask].max() if difference.ndim == 2 else difference.max())
