"""Recognises errors that mean that memory ran out, and describes them in one sentence.

torch has an exception type for GPU memory, but none for the memory of the CPU or of its libraries. Those errors are
recognised by the messages of torch, NumPy and CUDA, which the numbers of the sentence come from as well. Nothing here
imports torch, because commands that never load it use this, too.
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
"""Parts of the message of a plain RuntimeError that mean the same."""

_SIZE = r"(\d[\d.]* [KMGTPE]?i?B|\d+ bytes)"
_REQUESTED = (re.compile(rf"ried to allocate {_SIZE}"), re.compile(rf"Unable to allocate {_SIZE}"))
_FREE = re.compile(rf"of which {_SIZE} is free")
_ALLOWED = re.compile(rf"{_SIZE} allowed;")
"""The limit that was set by `torch.cuda.set_per_process_memory_fraction`."""
_GPU = re.compile(r"GPU (\d+) has a total capacity")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the memory of a GPU or of the machine ran out."""
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    return _is_torch_type(error) or any(mark in str(error) for mark in _MARKS)


def out_of_memory_text(error: BaseException, activity: str, device: str = "") -> str:
    """The start of a sentence: which memory ran out during what, how much was requested, and how much is free.

    Args:
        error: An error for which `is_out_of_memory` is true.
        activity: What was being done: "in step 13", "while it loaded the models".
        device: The device of this process, as torch names it; empty if unknown.
    """
    message = str(error)
    where = _device_of(error, message, device)
    requested = next((match[1] for pattern in _REQUESTED if (match := pattern.search(message))), "")
    if requested.endswith(" bytes"):
        requested = bytes_text(int(requested.split()[0]))
    numbers = [f"{requested} was requested"] if requested else []
    if match := _ALLOWED.search(message):
        numbers.append(f"this process may use {match[1]} in total")
    elif free := match[1] if (match := _FREE.search(message)) else _free(where):
        numbers.append(f"{free} is free")
    beginning = f"out of memory{f' on {where}' if where else ''} {activity}"
    return f"{beginning}: {' and '.join(numbers)}" if numbers else beginning


def release_memory(*, thoroughly: bool) -> None:
    """Frees the memory of models that are no longer used.

    Args:
        thoroughly: Also collect garbage if this process has not used a GPU.
    """
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    on_gpu = cuda is not None and cuda.is_initialized()
    if on_gpu or thoroughly:
        gc.collect()
    if cuda is not None and on_gpu:
        # After a CUDA failure this fails, too, and the end of the run must still be written.
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
    with contextlib.suppress(Exception):  # after a CUDA failure
        return bytes_text(free_bytes(device))
    return ""
