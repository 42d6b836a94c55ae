"""Where to compute: one device a process, how many threads, and in which precision.

One device a process on purpose. Trainer would wrap the model in `DataParallel` where it sees several GPUs, which is
slower than one and changes what a batch is: training settles its arguments on the one device
(`Device.restrict_trainer`). Several GPUs take several processes (`runs.processes`), and each picks its own here.
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
    """Where this process computes."""

    torch_device: str
    """`cpu`, `cuda:0`, `mps`."""
    precision: Precision
    name: str
    """What the maker calls it."""
    threads: int
    """CPU threads of torch."""

    def apply(self) -> None:
        """Tells torch, for the whole process.

        In fp32, TF32 is switched off on a GPU: an answer must not depend on the batch that it stands in, nor on what
        this process computed before. In bf16 and fp16 it is allowed.
        """
        import torch

        torch.set_num_threads(self.threads)
        if self.torch_device.startswith("cuda"):
            torch.cuda.set_device(self.torch_device)
            _allow_tf32(self.precision != "fp32")

    def restrict_trainer(self, arguments: Any) -> None:
        """Makes Trainer use this device and no other: by itself it takes all GPUs, beginning with the first.

        Args:
            arguments: `TrainingArguments`, made with `use_cpu` where this is the CPU.
        """
        import torch

        arguments._n_gpu = min(arguments.n_gpu, 1)
        if self.torch_device.startswith("cuda"):
            # A cached property: what stands in the instance is what Trainer reads.
            arguments.__dict__["_setup_devices"] = torch.device(self.torch_device)
        self.apply()


def pick(device: str = "auto", precision: str = "auto", *, overflows_in_fp16: str = "", threads: int = 0) -> Device:
    """The device that was asked for, or the best there is.

    Args:
        device: `auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1`, `mps`.
        precision: `auto` (bf16 where the device computes it natively, fp16 on an older CUDA device, else fp32), `fp32`,
            `bf16`, `fp16`.
        overflows_in_fp16: The name of a model that will be computed and cannot be in fp16 (see `engine.ppo.fp16`):
            `auto` is fp32 then, where it would be fp16. Empty where there is none.
        threads: CPU threads of torch; by default those of `cpu_threads`.

    Raises:
        LooptopError: The device is not there, or it or the model cannot be computed in that precision.
    """
    torch_device = _find(device)
    if precision not in ("auto", *get_args(Precision)):
        raise LooptopError(f"precision is '{visible(precision)}'; it must be auto, fp32, bf16 or fp16")
    if precision == "fp16" and not torch_device.startswith("cuda"):
        raise LooptopError(f"fp16 needs a CUDA device, and this is '{torch_device}'; use precision bf16, fp32 or auto")
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
    """Sets TF32 for matrix products and for cuDNN, whatever was set before and by which of torch's two interfaces.

    The older interface comes first: the newer one leaves its switches as they are, and torch raises an error where
    somebody reads one that contradicts the newer. It leaves cuDNN's newer switches to the global one where it forbids
    TF32, so these are set as well.
    """
    from torch.backends import cuda, cudnn

    cuda.matmul.allow_tf32 = allowed
    cudnn.allow_tf32 = allowed
    precision = "tf32" if allowed else "ieee"
    cudnn.conv.fp32_precision = precision  # type: ignore[attr-defined]
    cudnn.rnn.fp32_precision = precision  # type: ignore[attr-defined]


def _find(device: str) -> str:
    import torch

    refuse_unknown(device)
    present = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        present.append("mps")
    if device in ("auto", "cuda") and "cuda:0" in present:
        # Of a run's several processes each has a device of its own.
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
    """Whether the processor multiplies bf16 itself; where it is only emulated it is slower than fp32.

    Args:
        capabilities: Of `torch.cpu.get_capabilities()`: x86 names, or Arm's.
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
