"""Policy and reference are loaded onto the device that they will compute on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch import nn

from looptop.engine.ppo.fast_t5 import FeedForward, Norm
from looptop.engine.ppo.loading import load_policy_and_reference
from looptop.engine.ppo.reference import AdapterOff, Frozen
from tests.factories.ppo import ppo_config, save_policy


def devices(model: nn.Module) -> set[str]:
    return {weight.device.type for weight in model.parameters()}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("separate", [False, True], ids=["a copy", "another model"])
@pytest.mark.parametrize("rank", [0, 2], ids=["full", "LoRA"])
def test_all_models_are_on_the_device_and_of_its_kind(tmp_path: Path, device: str, separate: bool, rank: int) -> None:
    config = ppo_config(tmp_path).model
    options: dict[str, Any] = {"lora_rank": rank, "lora_modules": ("q", "v") if rank else ()}
    if separate:
        options["reference"] = str(save_policy(tmp_path / "reference"))
    chosen = msgspec.structs.replace(config, **options)
    model, policy, reference = load_policy_and_reference(chosen, torch.device(device))
    assert isinstance(reference, Frozen if separate or not rank else AdapterOff)
    models: list[nn.Module] = [model, policy]
    if isinstance(reference, Frozen):
        models.append(reference.model)
    for each in models:
        assert devices(each) == {device}
        assert any(isinstance(part, Norm | FeedForward) for part in each.modules()) == (device == "cpu")
