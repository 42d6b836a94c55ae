"""Every statistic of every step of the recordings of TRL 0.11.4, and the weights that came of them.

What is played is `PpoStep`, with which users train: by itself, and in `PpoTrainer`, in a run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file

import looptop.engine as looptop
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.config.types import Kernels
from looptop.engine.journal.records import RunState
from looptop.engine.ppo import trainer
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
    steps,
)
from tests.factories.ppo import ppo_config, save_tokenizer

EXTRA = sorted(path.stem for path in GOLDEN.glob("extra_*.json"))
KERNELS: tuple[Kernels, ...] = ("transformers", "fast")


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
def test_a_recording_is_played_again(name: str, kernels: Kernels, tmp_path: Path) -> None:
    recorded = read(name)
    replay, *nudged = (
        Replay(recorded, tmp_path / str(nudge), "gpt2_" if "gpt2" in name else "", nudge, kernels=kernels)
        for nudge in (0, *NUDGES)
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
    recorded, models = read(name), "gpt2_" if "gpt2" in name else ""
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
    replay, *nudged = (
        Replay(recorded, tmp_path / str(nudge), models, nudge, kernels=kernels) for nudge in (0, *NUDGES)
    )
    for step, progress in zip(played, made, strict=True):
        batch, _ = replay.step(step)
        others = [other.step(step)[1] for other in nudged]
        compare_statistics(progress.statistics, step["stats"], replay, batch, others)
    # The last optimiser step is Trainer's own, and only the weights show it.
    weights = load_file(run.folder.checkpoints / f"checkpoint-{len(played)}" / "model.safetensors")
    wanted, *others_weights = (each.policy.state_dict() for each in (replay, *nudged))
    for key, weight in weights.items():
        spread = torch.stack([other[key] - wanted[key] for other in others_weights]).abs().amax(0)
        assert ((weight - wanted[key]).abs() - 4 * spread).max() <= 1e-6, key
