"""Refuses NaN and infinity, and names the tensor that holds them: an error, where the book prints."""

from __future__ import annotations

import torch
from torch import Tensor

from looptop.engine.errors import LooptopError


class NonFiniteError(LooptopError):
    """A tensor holds NaN or infinity; names the tensor (and, once the trainer adds it, the step)."""

    def __init__(self, tensor_name: str, detail: str, step: int | None = None) -> None:
        self.tensor_name = tensor_name
        self.detail = detail
        self.step = step
        at = "" if step is None else f" at step {step}"
        super().__init__(
            f"the tensor '{tensor_name}' holds {detail}{at}; look at the data of that step, or lower the learning rate"
            " or use precision fp32"
        )


def check_finite(tensor: Tensor, name: str) -> None:
    """Refuses NaN and infinity.

    Raises:
        NonFiniteError: The tensor holds one; the error names the tensor.
    """
    # A sum is finite only if every element is (or cancels, which NaN and Inf cannot): one pass, one number.
    if not tensor.is_floating_point() or torch.isfinite(tensor.detach().float().sum()):
        return
    if torch.isnan(tensor).any():
        raise NonFiniteError(name, "NaN")
    if torch.isinf(tensor).any():
        raise NonFiniteError(name, "an infinite number")
