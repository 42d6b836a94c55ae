"""The ways between several processes of a run: torch's process groups, met through a file only this user can read."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from looptop.engine.device import cpu_threads
from looptop.engine.runs.processes import Processes, T

STARTING = timedelta(minutes=10)
"""How long the processes wait for each other to start, and for each other's part of a sum within a step."""

PATIENCE = timedelta(days=365)
"""How long companions wait for a decision: a run may be paused for a weekend."""


class Distributed(Processes):
    """One of several.

    Args:
        index: Its place among them.
        count: How many there are.
        group: What decisions travel by, between processors; sums go by torch's own group.
    """

    def __init__(self, index: int, count: int, group: Any) -> None:
        self.index = index
        self.count = count
        self._group = group

    def decide(self, make: Callable[[], T]) -> T:
        """See `Processes`."""
        box: list[Any] = [make() if self.is_first else None]
        dist.broadcast_object_list(box, src=0, group=self._group)
        made: T = box[0]
        return made

    def gather(self, mine: T) -> list[T]:
        """See `Processes`."""
        box: list[Any] = [None] * self.count
        dist.all_gather_object(box, mine, group=self._group)
        return box

    def total(self, mine: Tensor) -> Tensor:
        """See `Processes`."""
        dist.all_reduce(mine)
        return mine


@contextmanager
def joined(meeting: Path, index: int, count: int, *, on_gpus: bool) -> Iterator[Processes]:
    """Meets the other processes; leaves them behind at the end.

    Args:
        meeting: A file that is not there yet, where the processes find each other; the same for all, and in a folder
            that only this user can read.
        index: This process's place.
        count: How many there are.
        on_gpus: Gradients travel between GPUs.
    """
    # Where accelerate and `device.pick` look. Nobody outside of this machine has a part in it.
    place = {
        "RANK": str(index),
        "LOCAL_RANK": str(index),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "OMP_NUM_THREADS": str(max(1, cpu_threads() // count)),
        "GLOO_SOCKET_IFNAME": "lo0" if platform.system() == "Darwin" else "lo",
    }
    before = {name: os.environ.get(name) for name in place}
    os.environ.update(place)
    try:
        if on_gpus:
            torch.cuda.set_device(index)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpus else "gloo",
            store=dist.FileStore(str(meeting), count),  # type: ignore[attr-defined]  # missing in its `__all__`
            rank=index,
            world_size=count,
            timeout=STARTING,
        )
        try:
            yield Distributed(index, count, dist.new_group(backend="gloo", timeout=PATIENCE))
        finally:
            dist.destroy_process_group()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
