"""Collects the loss of each training question while an epoch trains on it, without a pass of its own.

These are the training dynamics of dataset cartography (Swayamdipta et al. 2020, https://arxiv.org/abs/2009.10795):
the loss of a question is taken from the logits of the step that trains on it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from looptop.engine.runs.processes import Processes
from looptop.engine.vqa.curation.journal import Losses
from looptop.engine.vqa.model.processing import IGNORED

PARTIAL_FILE = "question_losses.npy"
"""The file in a checkpoint that holds the losses of the epoch that it interrupts."""


class LossCollector:
    """The losses of one epoch, by row; NaN where the epoch has not trained on the question yet.

    Args:
        count: The number of training questions.
        device: Where the logits are, so that recording them never waits for the device.
    """

    def __init__(self, count: int, device: torch.device | str = "cpu") -> None:
        self._losses = torch.full((count,), torch.nan, device=device)

    @torch.no_grad()
    def record(self, rows: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Records a batch.

        Args:
            rows: `[batch]`.
            logits: `[batch, answer length, vocabulary]`.
            labels: `[batch, answer length]`; a question whose labels are all `IGNORED` is not recorded.
        """
        # Flattened, since along a dimension that is not the last one it takes ten times as long on a CPU.
        tokens = F.cross_entropy(
            logits.detach().float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none"
        )
        losses = tokens.view(labels.shape).sum(dim=1)
        losses = losses.where((labels != IGNORED).any(dim=1), torch.nan)
        self._losses[rows.to(self._losses.device)] = losses.to(self._losses.device)

    def take(self, processes: Processes) -> Losses | None:
        """The losses `[questions]` of all processes, and begins anew; None if nothing was recorded."""
        seen = processes.total(self._losses.isfinite().float())
        total = processes.total(self._losses.nan_to_num(0.0))
        self._losses.fill_(torch.nan)
        if not bool(seen.any()):
            return None
        # A row that several processes have trained on (padding of the last batch) gets its mean.
        losses: Losses = (total / seen).cpu().numpy().astype(np.float32)  # 0 / 0 is NaN
        return losses

    def save(self, folder: Path) -> None:
        """Writes what is recorded so far into a checkpoint."""
        losses = self._losses.cpu().numpy()
        if np.isfinite(losses).any():
            np.save(folder / PARTIAL_FILE, losses, allow_pickle=False)

    def load(self, folder: Path) -> None:
        """Takes what a checkpoint holds, if it holds something of the same number of questions."""
        try:
            losses = np.load(folder / PARTIAL_FILE, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return
        if losses.shape == tuple(self._losses.shape) and losses.dtype == np.float32:
            self._losses.copy_(torch.from_numpy(losses))
