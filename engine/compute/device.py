"""Chooses the device, the precision and the number of threads to compute with.

A process uses one device. With several GPUs, Trainer would wrap the model in `DataParallel`, which is slower than one
GPU and changes the meaning of a batch; `Device.restrict_trainer` prevents it. To use several GPUs, a run has several
processes (`runs.processes`), each with its own device.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from looptop.engine.compute.device_names import refuse_unknown
from looptop.engine.compute.threads import cpu_threads
from looptop.engine.config.types import Precision
from looptop.engine.errors import LooptopError
from looptop.engine.text import visible


@dataclass(frozen=True)
class Device:
    """The device of this process, and how to compute on it."""

    torch_device: str
    """`cpu`, `cuda:0`, `mps`."""
    precision: Precision
    name: str
    """The maker's name for it."""
    threads: int
    """CPU threads of torch."""

    def apply(self) -> None:
        """Configures torch for the whole process.

        In fp32, TF32 is switched off on a GPU: an answer must not depend on the other samples of its batch, nor on what
        this process computed before. In bf16 and fp16, TF32 is allowed.
        """
        import torch

        torch.set_num_threads(self.threads)
        if self.torch_device.startswith("cuda"):
            torch.cuda.set_device(self.torch_device)
            _allow_tf32(self.precision != "fp32")

    def restrict_trainer(self, arguments: Any) -> None:
        """Makes Trainer use this device only; by default it uses all GPUs, starting with the first.

        Args:
            arguments: `TrainingArguments`, made with `use_cpu` if this is the CPU.
        """
        import torch

        arguments._n_gpu = min(arguments.n_gpu, 1)
        if self.torch_device.startswith("cuda"):
            # A cached property: Trainer reads the value that is stored in the instance.
            arguments.__dict__["_setup_devices"] = torch.device(self.torch_device)
        self.apply()


def pick(device: str = "auto", precision: str = "auto", *, overflows_in_fp16: str = "", threads: int = 0) -> Device:
    """The requested device, or the best one available.

    Args:
        device: `auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:1`, `mps`.
        precision: `auto` (bf16 if the device computes it natively, fp16 on an older CUDA device, else fp32), `fp32`,
            `bf16`, `fp16`.
        overflows_in_fp16: The name of a model that cannot be computed in fp16 (see `engine.ppo.fp16`): `auto` then
            means fp32 where it would mean fp16. Empty if there is none.
        threads: CPU threads of torch; 0 for those of `cpu_threads`.

    Raises:
        LooptopError: The device does not exist, or the device or the model cannot compute in that precision.
    """
    torch_device = _resolve(device)
    if precision not in ("auto", *get_args(Precision)):
        raise LooptopError(f"precision is '{visible(precision)}'; it must be auto, fp32, bf16 or fp16")
    if precision == "fp16" and not torch_device.startswith("cuda"):
        raise LooptopError(f"fp16 needs a CUDA device, but this is '{torch_device}'; use precision bf16, fp32 or auto")
    if precision == "fp16" and overflows_in_fp16:
        raise LooptopError(
            f"{visible(overflows_in_fp16)} is a T5 model, and T5's activations overflow in fp16;"
            " use precision bf16, fp32 or auto"
        )
    chosen = _best_precision(torch_device) if precision == "auto" else cast(Precision, precision)
    if chosen == "fp16" and overflows_in_fp16:
        chosen = "fp32"
    return Device(torch_device, chosen, _name(torch_device), threads or cpu_threads())


def _allow_tf32(allowed: bool) -> None:
    """Sets TF32 for matrix products and for cuDNN, whatever was set before through either of torch's two interfaces.

    The older interface is set first: setting the newer one does not change the older switches, and torch raises an
    error if somebody reads an older switch that contradicts a newer one. When the older interface forbids TF32, it
    leaves cuDNN's newer switches to the global one, so these are set as well.
    """
    from torch.backends import cuda, cudnn

    cuda.matmul.allow_tf32 = allowed
    cudnn.allow_tf32 = allowed
    precision = "tf32" if allowed else "ieee"
    cudnn.conv.fp32_precision = precision  # type: ignore[attr-defined]
    cudnn.rnn.fp32_precision = precision  # type: ignore[attr-defined]


def _resolve(device: str) -> str:
    import torch

    refuse_unknown(device)
    present = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        present.append("mps")
    if device in ("auto", "cuda") and "cuda:0" in present:
        # Each process of a run has a device of its own.
        local = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        return local if local in present else "cuda:0"
    if device == "auto":
        return present[-1]
    if device in present:
        return device
    raise LooptopError(f"the device '{device}' is not on this machine, which has: {', '.join(present)}")


def _best_precision(torch_device: str) -> Precision:
    import torch

    if torch_device.startswith("cuda"):
        return "bf16" if torch.cuda.get_device_capability(torch_device) >= (8, 0) else "fp16"
    if torch_device == "cpu" and _cpu_computes_bf16(torch.cpu.get_capabilities()):
        return "bf16"
    return "fp32"


def _cpu_computes_bf16(capabilities: Mapping[str, Any]) -> bool:
    """Whether the CPU multiplies bf16 natively; emulated bf16 is slower than fp32.

    Args:
        capabilities: From `torch.cpu.get_capabilities()`, with x86 or Arm names.
    """
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def _name(torch_device: str) -> str:
    import torch

    if torch_device.startswith("cuda"):
        return str(torch.cuda.get_device_name(torch_device))
    if torch_device == "mps":
        return f"Apple GPU ({platform.machine()})"
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        match = None
    return match[1].strip() if match else platform.processor() or platform.machine()
