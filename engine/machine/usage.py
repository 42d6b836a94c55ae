"""How busy the machine is: CPU, memory, disk, GPUs."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
from msgspec import Struct

from looptop.engine.machine.gpus import Gpu, Gpus

_CGROUP = Path("/sys/fs/cgroup")


class Usage(Struct, frozen=True):
    """The load of the machine at one moment."""

    processor: float
    """Fraction of all cores in use since the previous reading, from 0 to 1."""
    cores: int
    memory_used: int
    """Bytes in use; within the container, if it has a limit."""
    memory_total: int
    disk_used: int
    """Bytes in use on the disk that holds the runs."""
    disk_total: int
    gpus: tuple[Gpu, ...] = ()

    @property
    def disk_free(self) -> int:
        """Free disk space in bytes."""
        return self.disk_total - self.disk_used


class Machine:
    """Reads the load of the machine, from one thread at a time.

    Args:
        folder: A folder on the disk to report.
        gpus: Reads the GPUs.
    """

    def __init__(self, folder: Path, gpus: Gpus | None = None) -> None:
        self._folder = folder
        self._gpus = gpus or Gpus()
        psutil.cpu_percent()  # later readings measure from here

    def read(self) -> Usage:
        """The current load."""
        used, total = memory()
        disk = shutil.disk_usage(self._folder)
        return Usage(
            processor=psutil.cpu_percent() / 100,
            cores=psutil.cpu_count() or 1,
            memory_used=used,
            memory_total=total,
            disk_used=disk.total - disk.free,
            disk_total=disk.total,
            gpus=tuple(self._gpus.read()),
        )


def memory(cgroup: Path = _CGROUP) -> tuple[int, int]:
    """Bytes in use and in total: of the container, if it has a limit below the machine's memory."""
    machine = psutil.virtual_memory()
    used, total = int(machine.total - machine.available), int(machine.total)
    try:
        limit = int((cgroup / "memory.max").read_text())
        if limit < total:
            current = int((cgroup / "memory.current").read_text())
            cached = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
            return max(0, current - int(cached.get("inactive_file", 0))), limit
    except (OSError, ValueError):  # no limit ("max"), or no such group
        pass
    return used, total
