"""Reads one batch, and finds the next batch with a new health mark."""

from __future__ import annotations

from dataclasses import dataclass, field

from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.records import BatchRecord, Judgement, SampleRecord


@dataclass(frozen=True)
class BatchData:
    """A batch, its samples and their judgements, as far as they are journalled."""

    record: BatchRecord | None = None
    samples: list[SampleRecord] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)

    @property
    def is_updated(self) -> bool:
        """Whether the policy was updated with the batch, so that its samples cannot be edited any more."""
        return self.record is not None and self.record.stage == "updated"


def read_batch(journal: PpoJournal, step: int, before: BatchData) -> BatchData:
    """Reads a batch; reads its samples only if they may have changed.

    Args:
        journal: The run's journal.
        step: The batch's step.
        before: The result of the last call, for this batch or another.
    """
    record = journal.batch(step)
    unchanged = record is not None and record == before.record and before.is_updated
    return BatchData(record, before.samples if unchanged else journal.samples(step), journal.judgements(step))


def next_mark(journal: PpoJournal, after: int) -> int | None:
    """The next batch at which a health mark begins; None if there is none."""
    before: set[str] = set()
    for record in journal.batches(after):
        kinds = {mark.kind for mark in record.marks}
        begins = any(mark.since == record.step for mark in record.marks)
        undated = {mark.kind for mark in record.marks if mark.since is None}  # in journals of an older looptop
        if record.step > after and (begins or undated - before):
            return record.step
        before = kinds
    return None
