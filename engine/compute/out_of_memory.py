"""Recognises that memory ran out, and says so in one sentence. Without torch: commands that never load it use this too.

torch has a type for a GPU's memory that ran out, and none for the processor's or for that of its libraries: these are
known by the words of torch, NumPy and CUDA, which the numbers of the sentence come from as well.
"""

from __future__ import annotations

import contextlib
import gc
import re
import sys

from looptop.engine.machine.free_memory import bytes_text, free_bytes

_MARKS = (
    "DefaultCPUAllocator",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
    "MPS backend out of memory",
)
"""What a plain RuntimeError holds that means the same."""

_SIZE = r"(\d[\d.]* [KMGTPE]?i?B|\d+ bytes)"
_WANTED = (re.compile(rf"ried to allocate {_SIZE}"), re.compile(rf"Unable to allocate {_SIZE}"))
_FREE = re.compile(rf"of which {_SIZE} is free")
_ALLOWED = re.compile(rf"{_SIZE} allowed;")
"""The limit that `torch.cuda.set_per_process_memory_fraction` has set."""
_GPU = re.compile(r"GPU (\d+) has a total capacity")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out: a GPU's, or the machine's."""
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    return _is_torch_type(error) or any(mark in str(error) for mark in _MARKS)


def out_of_memory_text(error: BaseException, activity: str, device: str = "") -> str:
    """The sentence's beginning: which memory ran out and in what, how much was wanted and how much is free.

    Args:
        error: One that `is_out_of_memory`.
        activity: What was being done: "in step 13", "while it loaded the models".
        device: Where this process computes, as torch names it; empty where that is not known.
    """
    message = str(error)
    where = _device_of(error, message, device)
    wanted = next((match[1] for pattern in _WANTED if (match := pattern.search(message))), "")
    if wanted.endswith(" bytes"):
        wanted = bytes_text(int(wanted.split()[0]))
    numbers = [f"{wanted} were wanted"] if wanted else []
    if match := _ALLOWED.search(message):
        numbers.append(f"this process may take {match[1]} in all")
    elif free := match[1] if (match := _FREE.search(message)) else _free(where):
        numbers.append(f"{free} are free")
    beginning = f"out of memory{f' on {where}' if where else ''} {activity}"
    return f"{beginning}: {' and '.join(numbers)}" if numbers else beginning


def release_memory(*, thoroughly: bool) -> None:
    """Gives the memory of models that nobody holds any more back to the GPU.

    Args:
        thoroughly: Also search for models that only hold each other, where this process has used no GPU.
    """
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    on_gpu = cuda is not None and cuda.is_initialized()
    if on_gpu or thoroughly:
        gc.collect()
    if cuda is not None and on_gpu:
        # Where CUDA has broken down it refuses this too, and how the run ended is still to be written.
        with contextlib.suppress(RuntimeError):
            cuda.empty_cache()


def _is_torch_type(error: RuntimeError) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def _device_of(error: BaseException, message: str, device: str) -> str:
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in message:
        return "cpu"
    return f"cuda:{match[1]}" if (match := _GPU.search(message)) else device


def _free(device: str) -> str:
    if not device:
        return ""
    with contextlib.suppress(Exception):  # CUDA may have broken down.
        return bytes_text(free_bytes(device))
    return ""
