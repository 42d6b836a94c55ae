"""Connects the processes of a run by torch's process groups, through a rendezvous file that only this user can read."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import distributed_c10d
from torch.nn.functional import pad

from looptop.engine.compute.threads import cpu_threads
from looptop.engine.errors import LooptopError
from looptop.engine.machine.sockets import foreign_peers
from looptop.engine.runs.messages import pack, unpack
from looptop.engine.runs.processes import Processes, T

STEP_TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others to start, and for their values within a step."""

DECISION_TIMEOUT = timedelta(days=365)
"""How long companions wait for a decision of the first process: a run may be paused for a weekend."""


class DistributedProcesses(Processes):
    """One process of a run that has several; it exchanges values with the others.

    Args:
        index: The number of this process; the first is 0.
        count: The number of processes.
        group: The process group for decisions, on CPUs; sums use torch's default group.
    """

    def __init__(self, index: int, count: int, group: Any) -> None:
        self.index = index
        self.count = count
        self._group = group

    def decide(self, make: Callable[[], T]) -> T:
        """As `Processes.decide`, across processes."""
        made = make() if self.is_first else None
        data = _as_tensor(pack(made) if self.is_first else b"")
        size = torch.tensor([len(data)])
        dist.broadcast(size, src=0, group=self._group)
        if not self.is_first:
            data = torch.zeros(int(size), dtype=torch.uint8)
        dist.broadcast(data, src=0, group=self._group)
        # The first process decodes its own value, too: if encoding changes a value, it is the same in all processes.
        decided: T = unpack(_as_bytes(data))
        return decided

    def gather(self, value: T) -> list[T]:
        """As `Processes.gather`, across processes."""
        data = _as_tensor(pack(value))
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        dist.all_gather(sizes, torch.tensor([len(data)]), group=self._group)
        largest = max(int(size) for size in sizes)
        parts = [torch.zeros(largest, dtype=torch.uint8) for _ in range(self.count)]
        dist.all_gather(parts, pad(data, (0, largest - len(data))), group=self._group)
        return [unpack(_as_bytes(part[: int(size)])) for part, size in zip(parts, sizes, strict=True)]

    def total(self, tensor: Tensor) -> Tensor:
        """As `Processes.total`, across processes."""
        dist.all_reduce(tensor)
        return tensor


def _as_tensor(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.zeros(0, dtype=torch.uint8)


def _as_bytes(data: Tensor) -> bytes:
    return data.numpy().tobytes()


def refuse_other_users() -> None:
    """Checks that this process is connected only to processes of the same user on this machine.

    The processes of a run listen on ports of the loopback interface, to which any user can connect while they start.

    Raises:
        LooptopError: Another user's process is connected.
    """
    if strangers := foreign_peers():
        raise LooptopError(
            f"another user of this machine (uid {', '.join(map(str, sorted(strangers)))}) has connected to the"
            " processes of this run; it was ended, resume it"
        )


@contextmanager
def _refuse_pickled_objects() -> Iterator[None]:
    """While the block runs, torch raises an error instead of unpickling objects that other processes send."""

    def refuse(*_arguments: object, **_named: object) -> NoReturn:
        raise LooptopError("another process sent a pickled object, which looptop does not accept")

    before = distributed_c10d._tensor_to_object
    distributed_c10d._tensor_to_object = refuse
    try:
        yield
    finally:
        distributed_c10d._tensor_to_object = before


@contextmanager
def connect_processes(rendezvous_file: Path, index: int, count: int, *, on_gpus: bool) -> Iterator[Processes]:
    """Connects this process to the others, until the block ends.

    Args:
        rendezvous_file: A file through which the processes find each other: the same for all, not existing yet, in a
            folder that only this user can read.
        index: The number of this process.
        count: The number of processes.
        on_gpus: Whether gradients are exchanged between GPUs.
    """
    # accelerate and `device.pick` read these. All processes are on this machine.
    settings = {
        "RANK": str(index),
        "LOCAL_RANK": str(index),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "OMP_NUM_THREADS": str(max(1, cpu_threads() // count)),
        "GLOO_SOCKET_IFNAME": "lo0" if platform.system() == "Darwin" else "lo",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        if on_gpus:
            torch.cuda.set_device(index)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpus else "gloo",
            store=dist.FileStore(str(rendezvous_file), count),  # type: ignore[attr-defined]  # missing in its `__all__`
            rank=index,
            world_size=count,
            timeout=STEP_TIMEOUT,
        )
        try:
            processes = DistributedProcesses(index, count, dist.new_group(backend="gloo", timeout=DECISION_TIMEOUT))
            refuse_other_users()
            with _refuse_pickled_objects():
                yield processes
        finally:
            dist.destroy_process_group()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
