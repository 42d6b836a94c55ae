"""The processes that train one run together (DDP), each with a share of every step's samples on its own device.

The first process is the run: it holds the lock, writes the journal, takes controls and decides. The others, its
companions, only compute their share; they receive every decision through `decide`. Most runs have a single process,
`ALONE`, in which nothing here costs time. `distributed` connects several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


class Processes:
    """One of the processes of a run, and how it exchanges values with the others. This class is for a single process.

    Attributes:
        index: Its number; the first is 0.
        count: The number of processes.
    """

    index = 0
    count = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the run itself, not a companion."""
        return self.index == 0

    @property
    def several(self) -> bool:
        """Whether there are other processes."""
        return self.count > 1

    def decide(self, make: Callable[[], T]) -> T:
        """Calls `make` in the first process and returns its result in all; the others wait, however long it takes."""
        return make()

    def gather(self, value: T) -> list[T]:
        """Returns the values of all processes, by index, in each of them."""
        return [value]

    def total(self, tensor: Tensor) -> Tensor:
        """Returns the sum of all processes' tensors, which have the same shape, and `tensor` is changed in place."""
        return tensor

    @contextmanager
    def first_process_first(self) -> Iterator[None]:
        """Runs the block in the first process before the others, so that they can use the files that it leaves."""
        if not self.is_first:
            self.decide(lambda: None)
        yield
        if self.is_first:
            self.decide(lambda: None)


ALONE = Processes()
"""The process of a run that has only one."""
