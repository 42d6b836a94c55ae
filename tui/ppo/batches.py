"""The rows of the list of batches: a stretch of them is read when one of it is to be seen, the last ones are kept."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from looptop.engine.errors import LooptopError
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.records import BatchRecord
from looptop.tui.background import in_thread

STRETCH_LENGTH = 128
"""Batches that are read at once."""
STRETCHES_KEPT = 32
"""Stretches that are kept."""


@dataclass(frozen=True)
class BatchRow:
    """A batch with its figures."""

    record: BatchRecord
    figures: dict[str, float | None]


class BatchRows:
    """Reads rows in threads of their own, for the event loop.

    Args:
        journal: The run's.
        names: The figures of a row.
        on_read: Called with the steps that were read, first and last.
        on_error: Called with what keeps them from being read.
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
        self._known: OrderedDict[int, dict[int, BatchRow]] = OrderedDict()
        self._changed: set[int] = set()
        """Stretches of which there is news."""
        self._reading: set[int] = set()

    def get(self, step: int) -> BatchRow | None:
        """A row; None where it is not read yet, which begins now."""
        number = step // STRETCH_LENGTH
        if number not in self._known or number in self._changed:
            self._read(number)
        stretch = self._known.get(number)
        if stretch is None:
            return None
        self._known.move_to_end(number)
        return stretch.get(step)

    def is_known(self, step: int) -> bool:
        """Whether a row is read, and nothing is newer."""
        number = step // STRETCH_LENGTH
        return number in self._known and number not in self._changed and number not in self._reading

    def mark_changed(self, step: int) -> None:
        """Batches from this one on may have changed; what is known of them is shown until they are read again."""
        numbers = {*self._known, *self._reading}
        self._changed |= {number for number in numbers if number >= step // STRETCH_LENGTH}

    def _read(self, number: int) -> None:
        if number in self._reading:
            return
        self._reading.add(number)
        self._changed.discard(number)
        first, last = number * STRETCH_LENGTH, (number + 1) * STRETCH_LENGTH - 1

        def read() -> dict[int, BatchRow]:
            with self.journal.snapshot():
                figures = self.journal.figures(self.names, first, last)
                batches = self.journal.batches(first, last)
            return {record.step: BatchRow(record, figures.get(record.step, {})) for record in batches}

        def done(future: asyncio.Future[dict[int, BatchRow]]) -> None:
            self._reading.discard(number)
            try:
                self._known[number] = future.result()
            except LooptopError as error:
                self._changed.add(number)
                self._on_error(error)
                return
            while len(self._known) > STRETCHES_KEPT:
                self._known.popitem(last=False)
            self._on_read(first, last)

        in_thread(read).add_done_callback(done)
