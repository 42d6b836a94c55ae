"""The memory of a training step, counted without making it, beside that of the same step on real tensors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from looptop.engine.models import step_memory as module
from looptop.engine.models.step_memory import StepMemory, step_memory
from tests.factories.vqa import tiny_model

Build = Callable[[], tuple[nn.Module, Callable[[], Tensor]]]


def counted_and_real(build: Build, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[StepMemory, StepMemory]:
    counted = step_memory(build, **options)
    monkeypatch.setattr(module, "FakeTensorMode", lambda **_: nullcontext())
    return counted, step_memory(build, **options)


@pytest.mark.parametrize(
    "options", [{}, {"accumulates": True}, {"precision": "bf16"}], ids=["plain", "accumulates", "bf16"]
)
def test_a_counted_step_holds_what_a_real_one_holds(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def build() -> tuple[nn.Module, Callable[[], Tensor]]:
        model = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Dropout(0.1), nn.Linear(256, 8))
        model[0].bias.requires_grad = False
        return model, lambda: nn.functional.cross_entropy(model(torch.zeros(32, 64)), torch.zeros(32).long())

    counted, real = counted_and_real(build, monkeypatch, **options)
    assert counted == real
    assert counted.weights == 4 * (64 * 256 + 256 + 256 * 8 + 8)
    assert counted.gradients == counted.weights - 4 * 256
    assert counted.activations > 4 * 32 * (64 + 256), "its input and the hidden states at least"
    assert counted.activations < 4 * 32 * (64 + 6 * 256), "and no weights"


def test_the_gradients_of_one_batch_are_held_while_the_next_one_is_computed() -> None:
    def build() -> tuple[nn.Module, Callable[[], Tensor]]:
        model = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 8))
        return model, lambda: model(torch.zeros(32, 64)).square().sum()

    one, several = step_memory(build), step_memory(build, accumulates=True)
    assert several.activations == one.activations, "gradients are no activations, nor are those of the second batch"
    assert several.peak == several.weights + several.gradients + several.activations > one.peak


def test_a_vqa_model_is_counted_as_it_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_model(tmp_path)[0].config

    def build() -> tuple[nn.Module, Callable[[], Tensor]]:
        from transformers.initialization import no_init_weights

        from looptop.engine.vqa.model.vqa_model import VqaModel

        with no_init_weights():
            model = VqaModel(config)
        model.check_input = lambda tensor, name: None  # type: ignore[method-assign]
        model.freeze("text_encoder")
        model.train(True)
        ids = torch.ones(4, 6, dtype=torch.long)
        answers = torch.zeros(4, 3, dtype=torch.long)
        return model, lambda: model(ids, torch.ones_like(ids), torch.zeros(4, 3, 32, 32), answers, answers).loss

    counted, real = counted_and_real(build, monkeypatch)
    assert counted.weights == real.weights and counted.gradients == real.gradients
    assert counted.activations == pytest.approx(real.activations, rel=0.05)
