"""Every statistic of every step of the recordings of TRL 0.11.4, and the weights that came of them.

What is played is `PpoStep`, with which users train: by itself, and in `PpoTrainer`, in a run.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import torch
from safetensors.torch import load_file

import looptop.engine as looptop
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.config.types import Kernels
from looptop.engine.journal.records import RunState
from looptop.engine.ppo import trainer
from looptop.engine.ppo.statistics import Statistics
from looptop.engine.ppo.step import BatchProgress
from tests.engine.ppo.golden import (
    GOLDEN,
    NUDGES,
    RecordedStep,
    Replay,
    compare_statistics,
    lay_out,
    read,
    settings_of,
    spread_of,
    steps,
)
from tests.factories.ppo import ppo_config, save_tokenizer

EXTRA = sorted(path.stem for path in GOLDEN.glob("extra_*.json"))
KERNELS: tuple[Kernels, ...] = ("transformers", "fast")


class Nudged(NamedTuple):
    """What the replays of `NUDGES` made of a recording."""

    statistics: list[list[Statistics]]
    """Of each step, by replay."""
    weights: list[dict[str, torch.Tensor]]
    """In the end, by replay."""

    def weight_spread(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """How far each weight is from these at most."""
        return {
            name: torch.stack([other[name] - weight for other in self.weights]).abs().amax(0)
            for name, weight in weights.items()
        }


@functools.cache
def nudged(name: str, kernels: Kernels = "transformers") -> Nudged:
    """Made once for all tests."""
    recorded, models = read(name), models_of(name)
    replays = [Replay(recorded, models, nudge, kernels=kernels) for nudge in NUDGES]
    statistics = [[replay.step(step)[1] for replay in replays] for step in steps(recorded)]
    return Nudged(statistics, [replay.policy.state_dict() for replay in replays])


@functools.cache
def spread_by_step(name: str) -> list[dict[str, float]]:
    """How far the nudged replays are from one that is not, by statistic. What kernels compute it matters little."""
    replay = Replay(read(name), models_of(name))
    made = [replay.step(step)[1] for step in steps(replay.recorded)]
    return [spread_of(*pair) for pair in zip(made, nudged(name).statistics, strict=True)]


def models_of(name: str) -> str:
    """What the names of a recording's models begin with."""
    return "gpt2_" if "gpt2" in name else ""


# PPO has fast kernels for a T5 alone.
@pytest.mark.parametrize(
    ("name", "kernels"),
    [
        (name, kernels)
        for name in ("default", "kl_full", "accumulated", *EXTRA)
        for kernels in KERNELS
        if "gpt2" not in name or kernels == "transformers"
    ],
)
def test_a_recording_is_played_again(name: str, kernels: Kernels) -> None:
    recorded = read(name)
    replay = Replay(recorded, models_of(name), kernels=kernels)
    for step, spread in zip(steps(recorded), spread_by_step(name), strict=True):
        batch, statistics = replay.step(step)
        compare_statistics(statistics, step["stats"], replay, batch, spread)


def test_the_weights_after_three_steps_are_the_recorded_ones() -> None:
    recorded = read("default")
    replay = Replay(recorded)
    for step in recorded["steps"]:
        replay.step(step)
    after, weights = load_file(GOLDEN / "policy_after.safetensors"), replay.policy.state_dict()
    assert after.keys() == weights.keys()
    uncertain, spreads = 0, nudged("default").weight_spread(weights)
    for name, wanted in after.items():
        spread = spreads[name]
        excess = (weights[name] - wanted).abs() - 4 * spread
        assert excess.max() <= 1e-6, name
        uncertain += int((spread > 1e-6).sum())
    assert uncertain <= 5, "of 130,000"


def config_of(recorded: dict[str, Any], folder: Path, kernels: Kernels, models: str) -> PpoRunConfig:
    """A run that trains a recording's policy as TRL did: Adam, constant rate, no gradient clipping."""
    policy, reference = (lay_out(f"{models}{name}", folder) for name in ("policy_before", "reference"))
    save_tokenizer(policy, 64)
    chosen = recorded["ppo"]
    config = ppo_config(
        folder, f"policy={policy}", f"model.reference={reference}", f"model.kernels={kernels}", "max_grad_norm=0",
        f"learning_rate={chosen['learning_rate']}", f"seed={chosen['seed']}", f"max_steps={len(recorded['steps'])}",
        "eval_steps=1000", "reference_responses=0", "device=cpu", "precision=fp32", family=models.rstrip("_") or "t5",
    )  # fmt: skip
    return msgspec.structs.replace(config, ppo=settings_of(recorded))


@pytest.mark.parametrize(
    ("name", "kernels"),
    [(name, kernels) for name in ("default", "accumulated") for kernels in KERNELS] + [("extra_gpt2", "fast")],
)
def test_a_run_plays_a_recording_again(
    name: str, kernels: Kernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded, models, others = read(name), models_of(name), nudged(name, kernels)
    played = steps(recorded)
    made: list[BatchProgress] = []

    class Step(RecordedStep):
        def run(self, *given: Any) -> BatchProgress:
            self.recorded = played[len(made)]
            made.append(super().run(*given))
            return made[-1]

        def score(self, progress: BatchProgress) -> None:
            super().score(progress)
            progress.rewards = self.recorded["scores"]

    monkeypatch.setattr(trainer, "PpoStep", Step)
    run = looptop.start(config_of(recorded, tmp_path, kernels, models))
    assert run.wait() is RunState.FINISHED, run.reason
    assert len(made) == len(played)
    replay = Replay(recorded, models, kernels=kernels)
    for step, progress, statistics in zip(played, made, others.statistics, strict=True):
        batch, _ = replay.step(step)
        spread = spread_of(progress.statistics, statistics)
        compare_statistics(progress.statistics, step["stats"], replay, batch, spread)
    # The last optimiser step is Trainer's own, and only the weights show it.
    weights = load_file(run.folder.checkpoints / f"checkpoint-{len(played)}" / "model.safetensors")
    wanted = replay.policy.state_dict()
    spreads = others.weight_spread(wanted)
    for key, weight in weights.items():
        assert ((weight - wanted[key]).abs() - 4 * spreads[key]).max() <= 1e-6, key
