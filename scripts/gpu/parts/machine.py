"""`looptop doctor` and screen 4 show the same memory and use as the driver.

Both are read while memory is taken and the device computes. On a CPU, the kernel's figures replace the driver's.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import which

import psutil
import torch

from looptop.engine.home import home
from looptop.engine.machine.gpus import Gpu, Gpus
from looptop.engine.machine.usage import Machine
from scripts.command import json_of
from scripts.gpu.checks import Checks, NotRunError

TAKEN = 2 * 2**30
"""Bytes that are taken on the device."""
MEMORY_TOLERANCE = 64 * 2**20
"""Bytes by which two readings may differ."""
PROCESSOR_TOLERANCE = 2**30
"""The same for the machine's memory, which other programs use too."""
BUSY = 0.5
"""The least use that must be shown for a device that computes all the time."""


def run(checks: Checks) -> None:
    """Compares both."""
    home().mkdir(parents=True, exist_ok=True)
    if checks.toy:
        _processor(checks)
    else:
        _gpu(checks)


def _gpu(checks: Checks) -> None:
    number = torch.device(checks.device).index or 0
    tensor = torch.ones(TAKEN, dtype=torch.uint8, device=checks.device)
    reader = Gpus()
    with checks.check("screen 4's memory agrees with the driver and with CUDA") as check:
        seen = _one(reader, number)
        free, total = torch.cuda.mem_get_info(checks.device)
        used = [_smi(number, "memory.used") * 2**20, total - free]
        check.measured(
            f"screen 4 {_gib(seen.memory_used or 0)} of {_gib(seen.memory_total or 0)}, nvidia-smi {_gib(used[0])},"
            f" CUDA {_gib(used[1])} of {_gib(total)}"
        )
        # CUDA leaves out what the driver keeps for itself.
        check.require(abs((seen.memory_used or 0) - used[0]) < MEMORY_TOLERANCE, "screen 4 and nvidia-smi differ")
        check.require(abs((seen.memory_used or 0) - used[1]) < 2**30, "screen 4 and CUDA differ by more than 1 GiB")
        check.require((seen.memory_used or 0) >= TAKEN, "the memory that was taken is not counted")
    with checks.check("doctor's free memory agrees with screen 4's") as check:
        devices = {device["device"]: device for device in json_of("doctor")["devices"]}
        seen = _one(reader, number)
        free = int(devices[f"cuda:{number}"]["memory_free"])
        check.measured(f"doctor {_gib(free)}, screen 4 {_gib(seen.memory_free or 0)}")
        check.require(abs(free - (seen.memory_free or 0)) < MEMORY_TOLERANCE, "they differ")
        check.require(devices[f"cuda:{number}"]["name"] == seen.name, "the names differ")
    del tensor
    with checks.check("screen 4's use, temperature and power while the device computes") as check, _computing(checks):
        deadline = time.monotonic() + 10
        seen = _one(reader, number)
        while (seen.use or 0) < BUSY and time.monotonic() < deadline:
            time.sleep(0.2)
            seen = _one(reader, number)
        smi = _smi(number, "utilization.gpu") / 100
        check.measured(
            f"screen 4 {seen.use or 0:.0%}, nvidia-smi {smi:.0%}; {seen.temperature} degrees,"
            f" {seen.power or 0:.0f} W of {seen.power_limit or 0:.0f} W"
        )
        check.require((seen.use or 0) >= BUSY and smi >= BUSY, "a device that computes is shown as idle")
        check.require(seen.temperature is not None and seen.power is not None, "temperature or power is missing")
    with checks.check("screen 4 reads all of it") as check:
        usage = Machine(home()).read()
        check.measured(f"{len(usage.gpus)} GPUs, {usage.cores} cores, {_gib(usage.memory_total)} memory")
        check.require(len(usage.gpus) >= torch.cuda.device_count(), "a GPU is missing")


def _processor(checks: Checks) -> None:
    with checks.check("doctor's and screen 4's memory agree with the kernel's") as check:
        usage = Machine(home()).read()
        doctor = next(device for device in json_of("doctor")["devices"] if device["device"] == "cpu")
        screen, kernel = usage.memory_total - usage.memory_used, psutil.virtual_memory().available
        check.measured(f"doctor {_gib(doctor['memory_free'])}, screen 4 {_gib(screen)}, kernel {_gib(kernel)} free")
        check.require(abs(doctor["memory_free"] - screen) < PROCESSOR_TOLERANCE, "doctor and screen 4 differ")
        # A container may be limited to less than the kernel has.
        check.require(screen <= kernel + PROCESSOR_TOLERANCE, "screen 4 shows more memory than the kernel has")


def _one(reader: Gpus, number: int) -> Gpu:
    gpus = reader.read()
    if not gpus:
        raise AssertionError("NVML shows no GPU")
    return gpus[number]


def _smi(number: int, what: str) -> float:
    """One figure of nvidia-smi, in its own unit."""
    if which("nvidia-smi") is None:
        raise NotRunError("nvidia-smi is not installed")
    words = ["nvidia-smi", f"--id={number}", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip())


@contextmanager
def _computing(checks: Checks) -> Iterator[None]:
    """While the block runs, the device multiplies matrices all the time."""
    done = threading.Event()

    def multiply() -> None:
        matrix = torch.randn(4096, 4096, device=checks.device)
        while not done.is_set():
            for _ in range(20):
                matrix = matrix @ matrix / 64
            torch.cuda.synchronize(checks.device)

    thread = threading.Thread(target=multiply)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _gib(count: float) -> str:
    return f"{count / 2**30:.2f} GiB"
