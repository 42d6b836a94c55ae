"""The tables of a run's journal that hold its training questions, their losses by epoch, and edits."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from looptop.engine.encoding import storable
from looptop.engine.errors import UNREADABLE, LooptopError
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.text import visible
from looptop.engine.vqa.curation.records import Edit, TrainingQuestion

Losses = npt.NDArray[np.float32]


class EpochLosses(NamedTuple):
    """The loss of each training question in one epoch."""

    epoch: int
    """From 1."""
    step: int
    """The epoch's last step."""
    losses: Losses
    """`[questions]`, in nats: the cross-entropy of the whole label, its end included, as the question was trained on.
    NaN if it was not."""


CHUNK = 4096
"""The number of questions in one row of the table: compressed together, VQA v2's 440,000 take some megabytes."""

MAX_CHUNK_BYTES = 64 * 2**20
"""The most bytes that one row may decompress to; a journal can come from anywhere."""


def write_questions(writer: JournalWriter, questions: Sequence[TrainingQuestion]) -> None:
    """Adds the texts of all training questions, in the order of their rows."""
    packed = (
        zlib.compress(msgspec.msgpack.encode([_storable(each) for each in questions[first : first + CHUNK]]), 1)
        for first in range(0, len(questions), CHUNK)
    )
    writer.rows("INSERT OR REPLACE INTO training_questions VALUES (?, ?)", enumerate(packed))


def write_losses(writer: JournalWriter, epoch: int, step: int, losses: Losses) -> None:
    """Adds the losses of an epoch, `[questions]`; those of the same epoch are replaced."""
    data = np.ascontiguousarray(losses, dtype="<f4").tobytes()
    writer.rows("INSERT OR REPLACE INTO question_losses VALUES (?, ?, ?)", [(epoch, step, data)])


def write_edit(writer: JournalWriter, edit: Edit) -> None:
    """Adds an edit."""
    row = (edit.row, edit.kind, storable(edit.answer), edit.step, storable(edit.by))
    writer.rows("INSERT INTO question_edits (row, kind, answer, step, by) VALUES (?, ?, ?, ?, ?)", [row])


class CurationJournal(Journal):
    """Reads these tables. Its methods raise LooptopError if the journal is damaged."""

    def revision(self) -> tuple[int, int, int]:
        """Numbers that change when there are more questions, losses of another epoch, or more edits: the last chunk of
        questions, the last step with losses, the last edit. Quick to read.
        """
        with self._read() as read:
            if not read:
                return 0, 0, 0
            row = read(
                "SELECT (SELECT max(chunk) + 1 FROM training_questions), (SELECT max(step) FROM question_losses),"
                " (SELECT max(id) FROM question_edits)"
            ).fetchone()
        first, second, third = (value if isinstance(value, int) else 0 for value in row)
        return first, second, third

    def question_count(self) -> int:
        """The number of training questions; 0 if the run has not noted them."""
        with self._read() as read:
            last = read("SELECT max(chunk) FROM training_questions").fetchone()[0] if read else None
            if not isinstance(last, int):
                return 0
            return last * CHUNK + len(self._chunk(read, last))

    def questions(self, rows: range | None = None) -> list[TrainingQuestion]:
        """The questions of a range of rows; all by default."""
        with self._read() as read:
            if not read:
                return []
            first, end = (0, 1 << 62) if rows is None else (rows.start, rows.stop)
            wanted = read(
                "SELECT chunk FROM training_questions WHERE chunk BETWEEN ? AND ? ORDER BY chunk",
                (first // CHUNK, max(end - 1, 0) // CHUNK),
            ).fetchall()
            texts = [question for (chunk,) in wanted for question in self._chunk(read, chunk)]
        return texts[first % CHUNK :][: end - first]

    def losses(self) -> list[EpochLosses]:
        """The losses of each epoch, the first epoch first."""
        with self._read() as read:
            rows = read("SELECT epoch, step, losses FROM question_losses ORDER BY epoch").fetchall() if read else []
        for epoch, step, data in rows:
            if not (isinstance(epoch, int) and isinstance(step, int) and isinstance(data, bytes)) or len(data) % 4:
                raise self._damage("losses")
        return [EpochLosses(epoch, step, np.frombuffer(data, dtype="<f4")) for epoch, step, data in rows]

    def edits(self) -> list[Edit]:
        """All edits, in the order in which they were made."""
        with self._read() as read:
            rows = read("SELECT row, kind, answer, step, by FROM question_edits ORDER BY id").fetchall() if read else []
        names = ("row", "kind", "answer", "step", "by")
        try:
            return [msgspec.convert(dict(zip(names, row, strict=True)), Edit) for row in rows]
        except msgspec.ValidationError:
            raise self._damage("edits") from None

    def _chunk(self, read: Any, number: int) -> list[TrainingQuestion]:
        row = read("SELECT texts FROM training_questions WHERE chunk = ?", (number,)).fetchone()
        try:
            unpacker = zlib.decompressobj()
            data = unpacker.decompress(row[0], MAX_CHUNK_BYTES)
            if unpacker.unconsumed_tail:
                raise ValueError
            return msgspec.msgpack.decode(data, type=list[TrainingQuestion])
        except (zlib.error, TypeError, *UNREADABLE):
            raise self._damage("training questions") from None

    def _damage(self, what: str) -> LooptopError:
        return LooptopError(f"the journal {visible(self.path)} is damaged: its {what} cannot be read")


def _storable(question: TrainingQuestion) -> TrainingQuestion:
    return TrainingQuestion(
        storable(question.question_id), storable(question.image), storable(question.question), storable(question.answer)
    )
