"""Somebody's own Trainer, which fits a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainingArguments

from looptop.engine.training.callbacks import JournalCallback


class Line(torch.nn.Module):
    """Fits a line."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": ((self.slope * x - labels) ** 2).mean(), "logits": self.slope * x}


def trainer(folder: Path, callback: JournalCallback, steps: int = 12, **settings: Any) -> Trainer:
    rows = [{"x": float(number), "labels": 2.0 * number} for number in range(8)]
    chosen: dict[str, Any] = {
        "logging_steps": 1,
        "eval_strategy": "steps",
        "eval_steps": 6,
        "learning_rate": 1e-2,
        "save_strategy": "no",
    } | settings
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        per_device_train_batch_size=4,
        **chosen,
    )
    return Trainer(Line(), arguments, train_dataset=rows, eval_dataset=rows, callbacks=[callback])
