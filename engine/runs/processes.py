"""The processes that train one run together (DDP), each with a share of every step's samples on a device of its own.

The first one is the run: it holds the lock, writes the journal, takes controls and decides. The others, its companions,
compute their share and keep nothing; whatever the first decides reaches them through `decide`. Nearly every run is one
process, `ALONE`, in which all of this costs nothing.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

STARTING = timedelta(minutes=10)
"""How long the processes wait for each other to start, and torch's own collectives within a step."""

PATIENCE = timedelta(days=365)
"""How long companions wait for a decision: a run may be paused for a weekend."""


class Processes:
    """One of the processes of a run, and its ways to the others.

    Args:
        index: Its place among them; the first is 0.
        count: How many there are.
        group: What decisions travel by; None where the run is one process.
    """

    def __init__(self, index: int = 0, count: int = 1, group: Any = None) -> None:
        self.index = index
        self.count = count
        self._group = group

    @property
    def is_first(self) -> bool:
        """Whether this process is the run, and no companion."""
        return self.index == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1

    def decide(self, make: Callable[[], T]) -> T:
        """What the first process makes, in all of them; the others wait for it, however long it takes."""
        if not self.several:
            return make()
        import torch.distributed as dist

        box: list[Any] = [make() if self.is_first else None]
        dist.broadcast_object_list(box, src=0, group=self._group)
        made: T = box[0]
        return made

    def gather(self, mine: T) -> list[T]:
        """What each process has, in their order, in all of them."""
        if not self.several:
            return [mine]
        import torch.distributed as dist

        box: list[Any] = [None] * self.count
        dist.all_gather_object(box, mine, group=self._group)
        return box

    def total(self, mine: Tensor) -> Tensor:
        """The sum of what each process has, a tensor of one shape on its device; changed in place."""
        if self.several:
            import torch.distributed as dist

            dist.all_reduce(mine)
        return mine

    @contextmanager
    def first_before_the_others(self) -> Iterator[None]:
        """Has the first process run the block before the others do: what it leaves on disk, they find there."""
        if not self.is_first:
            self.decide(lambda: None)
        yield
        if self.is_first:
            self.decide(lambda: None)


ALONE = Processes()
"""A run that is one process."""


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
    import torch
    import torch.distributed as dist

    from looptop.engine.device import cpu_threads

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
            yield Processes(index, count, dist.new_group(backend="gloo", timeout=PATIENCE))
        finally:
            dist.destroy_process_group()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
