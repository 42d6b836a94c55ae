"""Reads the load, memory, temperature and power of NVIDIA GPUs through NVML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct


class Gpu(Struct, frozen=True):
    """One GPU; a value that it does not report is None."""

    index: int
    """Its number in NVML, by PCI bus; CUDA uses the same order with CUDA_DEVICE_ORDER=PCI_BUS_ID."""
    name: str
    memory_used: int | None = None
    """Bytes that programs use, as nvidia-smi shows it; with an old driver also those that the driver reserves."""
    memory_total: int | None = None
    use: float | None = None
    """The share of the driver's last sampling period in which it computed, from 0 to 1."""
    temperature: int | None = None
    """Degrees Celsius."""
    power: float | None = None
    """Watts."""
    power_limit: float | None = None
    memory_reserved: int = 0
    """Bytes that the driver reserves for itself."""

    @property
    def memory_free(self) -> int | None:
        """Free memory in bytes; None if unknown."""
        if self.memory_used is None or self.memory_total is None:
            return None
        return self.memory_total - self.memory_used - self.memory_reserved


class Gpus:
    """Reads the state of the GPUs. NVML is opened once and stays open.

    Args:
        nvml: The module `pynvml` or a substitute; None imports it.
    """

    def __init__(self, nvml: Any = None) -> None:
        self._nvml = nvml
        self._handles: list[Any] | None = None

    def read(self) -> list[Gpu]:
        """The current state of all GPUs; empty if there are none."""
        if self._handles is None:
            self._handles = self._open()
        return [self._one(index, handle) for index, handle in enumerate(self._handles)]

    def _open(self) -> list[Any]:
        try:
            if self._nvml is None:
                import pynvml

                self._nvml = pynvml
            self._nvml.nvmlInit()
            return [self._nvml.nvmlDeviceGetHandleByIndex(index) for index in range(self._nvml.nvmlDeviceGetCount())]
        except Exception:
            # No library, driver or permission; pynvml creates the classes of its errors only when it runs.
            return []

    def _one(self, index: int, handle: Any) -> Gpu:
        nvml = self._nvml
        memory = self._memory(handle)
        use = self._ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        power = self._ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        limit = self._ask(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle))
        name = self._ask(lambda: nvml.nvmlDeviceGetName(handle))
        return Gpu(
            index=index,
            name=name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name or "GPU"),
            memory_used=None if memory is None else int(memory.used),
            memory_total=None if memory is None else int(memory.total),
            use=None if use is None else use / 100,
            temperature=self._ask(lambda: int(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))),
            power=None if power is None else power / 1000,
            power_limit=None if limit is None else limit / 1000,
            memory_reserved=int(getattr(memory, "reserved", 0)),
        )

    def _memory(self, handle: Any) -> Any:
        """Used, total and, if the driver reports it, reserved memory; version 1 counts reserved memory as used."""
        nvml = self._nvml
        if (version := getattr(nvml, "nvmlMemory_v2", None)) is not None:
            memory = self._ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle, version=version))
            if memory is not None:
                return memory
        return self._ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))

    def _ask(self, call: Callable[[], Any]) -> Any:
        """The result of a call; None if the GPU does not support it, as virtual and old ones, or is gone."""
        try:
            return call()
        except self._nvml.NVMLError:
            return None
