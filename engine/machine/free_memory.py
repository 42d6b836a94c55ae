"""How much memory this process can still allocate, on a GPU or on the machine.

A run's process imports this before it takes its lock, so slow imports are inside the functions.
"""

from __future__ import annotations

from importlib import import_module

from looptop.engine.text import counted


def free_bytes(torch_device: str) -> int:
    """Bytes that this process can still allocate: on a GPU, or on the machine or in its container."""
    if torch_device.startswith("cuda"):
        return _free_on_gpu(torch_device)
    import psutil

    from looptop.engine.machine import usage

    # A Mac's GPU shares the machine's memory.
    used, total = usage.memory()
    return max(0, min(total - used, int(psutil.virtual_memory().available)))


def _free_on_gpu(torch_device: str) -> int:
    # Imported here, because callers that ask about the CPU need no torch.
    torch = import_module("torch")
    free, total = torch.cuda.mem_get_info(torch_device)
    in_use = torch.cuda.memory_allocated(torch_device)
    # torch keeps the memory of freed tensors and reuses it.
    free += torch.cuda.memory_reserved(torch_device) - in_use
    fraction_of = getattr(torch.cuda, "get_per_process_memory_fraction", None)
    if fraction_of is not None:
        free = min(free, int(fraction_of(torch_device) * total) - in_use)
    return max(0, int(free))


def gpu_peak(torch_device: str) -> tuple[int, int]:
    """The most memory of a GPU that was in use so far, and its total, in bytes; (0, 0) if it is not a CUDA GPU.

    Other programs' memory counts; what torch keeps of freed tensors does not, since torch reuses it.
    """
    if not torch_device.startswith("cuda"):
        return 0, 0
    torch = import_module("torch")
    free, total = torch.cuda.mem_get_info(torch_device)
    others = total - free - torch.cuda.memory_reserved(torch_device)
    return int(others + torch.cuda.max_memory_allocated(torch_device)), int(total)


def bytes_text(count: int) -> str:
    """A number of bytes for people: "13.1 MiB", "75.1 GiB"."""
    size, unit = float(count), ""
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:,.1f} {unit}" if unit else counted(count, "byte")
