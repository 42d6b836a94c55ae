"""Loads rows of the batch list in blocks, when one of a block's rows is first shown; keeps the blocks used last."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from looptop.engine.errors import LooptopError
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.records import BatchRecord
from looptop.tui.background import in_thread

BLOCK_SIZE = 128
"""Rows that are read together."""
MAX_CACHED_BLOCKS = 32
"""The block that was used least recently is dropped first."""


@dataclass(frozen=True)
class BatchRow:
    """A batch and the values of its metrics."""

    record: BatchRecord
    figures: dict[str, float | None]


class BatchRows:
    """The rows that are loaded so far. Threads read them; the event loop calls all methods.

    Args:
        journal: The run's journal.
        names: The metrics whose values a row shows.
        on_read: Called with the first and the last step of a block that was read.
        on_error: Called with the error if a block cannot be read.
    """

    def __init__(
        self,
        journal: PpoJournal,
        names: Sequence[str],
        on_read: Callable[[int, int], None],
        on_error: Callable[[LooptopError], None],
    ) -> None:
        self.journal = journal
        self.names = tuple(names)
        self._on_read = on_read
        self._on_error = on_error
        self._blocks: OrderedDict[int, dict[int, BatchRow]] = OrderedDict()
        self._stale: set[int] = set()
        """Numbers of blocks that may have changed since they were read."""
        self._loading: set[int] = set()

    def get(self, step: int) -> BatchRow | None:
        """The row of a batch; None if it is not loaded yet, which this call starts."""
        number = step // BLOCK_SIZE
        if number not in self._blocks or number in self._stale:
            self._load_block(number)
        block = self._blocks.get(number)
        if block is None:
            return None
        self._blocks.move_to_end(number)
        return block.get(step)

    def is_known(self, step: int) -> bool:
        """Whether a row is loaded and up to date."""
        number = step // BLOCK_SIZE
        return number in self._blocks and number not in self._stale and number not in self._loading

    def mark_changed(self, step: int) -> None:
        """Marks the loaded rows from this batch on as stale; they are shown until they have been read again."""
        numbers = {*self._blocks, *self._loading}
        self._stale |= {number for number in numbers if number >= step // BLOCK_SIZE}

    def _load_block(self, number: int) -> None:
        if number in self._loading:
            return
        self._loading.add(number)
        self._stale.discard(number)
        first, last = number * BLOCK_SIZE, (number + 1) * BLOCK_SIZE - 1

        def read() -> dict[int, BatchRow]:
            with self.journal.snapshot():
                figures = self.journal.figures(self.names, first, last)
                batches = self.journal.batches(first, last)
            return {record.step: BatchRow(record, figures.get(record.step, {})) for record in batches}

        def store(future: asyncio.Future[dict[int, BatchRow]]) -> None:
            self._loading.discard(number)
            try:
                self._blocks[number] = future.result()
            except LooptopError as error:
                self._stale.add(number)
                self._on_error(error)
                return
            while len(self._blocks) > MAX_CACHED_BLOCKS:
                self._blocks.popitem(last=False)
            self._on_read(first, last)

        in_thread(read).add_done_callback(store)
