"""The processes that train one run together (DDP), each with a share of every step's samples on a device of its own.

The first one is the run: it holds the lock, writes the journal, takes controls and decides. The others, its companions,
compute their share and keep nothing; whatever the first decides reaches them through `decide`. Nearly every run is one
process, `ALONE`, in which all of this costs nothing; `distributed` has the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


class Processes:
    """One of the processes of a run, and its ways to the others; here it is the only one.

    Attributes:
        index: Its place among them; the first is 0.
        count: How many there are.
    """

    index = 0
    count = 1

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
        return make()

    def gather(self, mine: T) -> list[T]:
        """What each process has, in their order, in all of them."""
        return [mine]

    def total(self, mine: Tensor) -> Tensor:
        """The sum of what each process has, a tensor of one shape on its device; changed in place."""
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
