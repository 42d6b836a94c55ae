"""NVIDIA's GPUs by NVML: their use, memory, temperature and power. Nothing where there is no GPU or no driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct


class Gpu(Struct, frozen=True):
    """One GPU; None is what it does not say."""

    index: int
    """In NVML's order, that of the PCI bus; CUDA's is the same with CUDA_DEVICE_ORDER=PCI_BUS_ID."""
    name: str
    memory_used: int | None = None
    """Bytes that programs use, as nvidia-smi tells it."""
    memory_total: int | None = None
    use: float | None = None
    """Share of the time in which it computed, from 0 to 1."""
    temperature: int | None = None
    """Degrees Celsius."""
    power: float | None = None
    """Watts."""
    power_limit: float | None = None
    memory_reserved: int = 0
    """Bytes that the driver keeps for itself."""

    @property
    def memory_free(self) -> int | None:
        """Bytes."""
        if self.memory_used is None or self.memory_total is None:
            return None
        return self.memory_total - self.memory_used - self.memory_reserved


class Gpus:
    """Reads the GPUs; the library is opened once and stays open.

    Args:
        nvml: The module `pynvml`, or what stands for it; None imports it.
    """

    def __init__(self, nvml: Any = None) -> None:
        self._nvml = nvml
        self._handles: list[Any] | None = None

    def read(self) -> list[Gpu]:
        """All GPUs, now; empty where there are none."""
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
        except (
            Exception
        ):  # no library, no driver, no permission: NVML's own errors, of which pynvml makes its classes late
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
        """Used, total and, where the driver can tell, reserved memory: the first version counts that as used."""
        nvml = self._nvml
        if (version := getattr(nvml, "nvmlMemory_v2", None)) is not None:
            memory = self._ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle, version=version))
            if memory is not None:
                return memory
        return self._ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))

    def _ask(self, call: Callable[[], Any]) -> Any:
        """The answer; None where this GPU has none (a virtual one, an old one, one that was taken away)."""
        try:
            return call()
        except self._nvml.NVMLError:
            return None
