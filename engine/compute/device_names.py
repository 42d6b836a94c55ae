"""Checks a device without importing torch, which takes seconds. Only what certainly fails is refused."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible

# Device files of the drivers of NVIDIA (Jetson and WSL, too) and AMD; torch calls both `cuda`.
_NODES = ("nvidia*", "nvhost*", "nvgpu*", "nvmap", "kfd", "dxg")


def refuse_unknown(device: str) -> None:
    """Raises LooptopError if this is not the name of a device."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise LooptopError(f"device is '{visible(device)}'; it must be auto, cpu, cuda, cuda:NUMBER or mps")


def refuse_absent(device: str, precision: str = "auto", nodes: Path = Path("/dev")) -> None:
    """Checks that the machine can have the device at all; `device.pick` tells whether torch can use it.

    Args:
        device: As in a configuration.
        precision: As in a configuration.
        nodes: The folder of the kernel's device files.

    Raises:
        LooptopError: The name is not a device's, the device is missing, or it cannot compute in that precision.
    """
    refuse_unknown(device)
    apple = platform.system() == "Darwin"
    gpu = not apple and any(True for node in _NODES for _ in nodes.glob(node))
    if (device.startswith("cuda") and not gpu) or (device == "mps" and not apple):
        present = ", ".join(["cpu", *["cuda"] * gpu, *["mps"] * apple])
        raise LooptopError(f"the device '{device}' is not on this machine, which has: {present}")
    if precision == "fp16" and (device in ("cpu", "mps") or not gpu):
        raise LooptopError(
            f"fp16 needs a CUDA device, but this machine has '{'mps' if apple else 'cpu'}'; use bf16, fp32 or auto"
        )
