"""Rules about what is left of the machine: disk, GPU memory."""

from __future__ import annotations

from collections.abc import Iterable

from looptop.engine.runs.alerts.records import Alert, AlertCode, Resources, Rule

CHECKPOINTS_THAT_FIT = 2
"""The disk is nearly full if it has no room for this many more checkpoints: an older one is deleted only when a new
one is complete ..."""
DISK_RESERVE = 64 * 2**20
"""... besides this much for the journal, the log and other programs: four times what a checkpoint must leave free."""
GPU_SHARE = 0.95
"""The GPU's memory is nearly full if this share of it is in use at its peak: fragmentation and a longer batch take the
rest."""


class Disk(Rule):
    """The disk is nearly full."""

    def on_resources(self, resources: Resources) -> Iterable[Alert]:
        """Compares the free space with the next checkpoints."""
        if resources.disk_free < CHECKPOINTS_THAT_FIT * resources.checkpoint_bytes + DISK_RESERVE:
            figures = {"free": float(resources.disk_free), "checkpoint": float(resources.checkpoint_bytes)}
            yield Alert(AlertCode.DISK_NEARLY_FULL, resources.step, figures)


class GpuMemory(Rule):
    """The memory of the GPU is nearly full."""

    def on_resources(self, resources: Resources) -> Iterable[Alert]:
        """Compares the memory in use at its peak with the GPU's."""
        if resources.gpu_total and resources.gpu_used >= GPU_SHARE * resources.gpu_total:
            figures = {"used": float(resources.gpu_used), "total": float(resources.gpu_total)}
            yield Alert(AlertCode.GPU_MEMORY_NEARLY_FULL, resources.step, figures)
