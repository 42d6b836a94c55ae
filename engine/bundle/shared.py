"""What the builders of the bundled models share: folder, seed, sizes, a plain training loop, the model card."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

BUNDLED = Path(__file__).parent.parent / "bundled"
SEED = 20240607

WIDTH = 96
"""Hidden size of the models for images and questions; for 64 pixels and 107 questions, more is no better."""
HEADS = 4
# The book's models use 0.02 at width 768. At this width that makes signals so small that learning starts late.
INITIALIZER_RANGE = 0.05


def train(name: str, modules: list[nn.Module], loss: Callable[[], Tensor], steps: int, learning_rate: float) -> None:
    """Trains with AdamW, warm-up and a cosine decay to zero; prints its progress."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.01)
    warm_up = max(1, steps // 13)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / warm_up) * (1 + math.cos(math.pi * step / steps)) / 2
    )
    for step in range(1, steps + 1):
        value = loss()
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % max(1, steps // 10) == 0:
            print(f"{name}: step {step} of {steps}, loss {value.item():.4f}", flush=True)  # noqa: T201


def fraction_true(values: Tensor) -> float:
    """The share of true values in a tensor of booleans."""
    return values.float().mean().item()


def save(model: PreTrainedModel, folder: Path) -> None:
    """Writes a model as safetensors with its configuration."""
    model.eval().save_pretrained(folder)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{folder.name}: {parameters:,} parameters written", flush=True)  # noqa: T201


def write_card(folder: Path, title: str, text: str) -> None:
    """Writes and prints a model's card: title, how to rebuild it, text and licence."""
    card = f"""# {title}

Part of looptop's bundle; rebuilt by `python -m looptop.engine.bundle {folder.name}`.

{text}

## License
Apache-2.0, as looptop.
"""
    (folder / "README.md").write_text(card, "utf-8")
    print(card, flush=True)  # noqa: T201
