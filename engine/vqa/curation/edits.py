"""A person's edits to training questions: a new answer, leaving the question out, or taking an edit back.

An edit reaches a paused run as a control, and the run journals it; if the run is not live, the process that takes its
lock writes the edit itself. It applies from the next epoch on, also after a resume: an epoch uses the edits that were
made up to its first step. A dropped question keeps its turn in the order, but counts neither in the loss nor in the
number of labels, so that all other questions come in the same batches as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from looptop.engine.errors import LooptopError
from looptop.engine.files.lock import RunLock
from looptop.engine.journal.records import Reply, RunState, accepted, refused
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs.checkpoint import newest_complete, step_of
from looptop.engine.runs.control import Control, send
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.gate import Gate
from looptop.engine.text import visible
from looptop.engine.vqa.curation.journal import CurationJournal, write_edit
from looptop.engine.vqa.curation.records import Edit, EditKind

KINDS: tuple[EditKind, ...] = ("relabel", "drop", "restore")

LONGEST_ANSWER = 200
"""The greatest number of characters of a new answer."""


def current_edits(edits: Iterable[Edit], at_step: int | None = None) -> dict[int, Edit]:
    """The edits in force, by row: each question's last edit, unless it takes the others back.

    Args:
        edits: All edits, in the order in which they were made.
        at_step: Only those that were made up to this step; None takes all.
    """
    last = {edit.row: edit for edit in edits if at_step is None or edit.step <= at_step}
    return {row: edit for row, edit in last.items() if edit.kind != "restore"}


def answers_of(edits: Mapping[int, Edit]) -> dict[int, str | None]:
    """The new answers, by row; None drops the question."""
    return {row: edit.answer if edit.kind == "relabel" else None for row, edit in edits.items()}


class Edits:
    """The edits of a live run, which takes them as controls and asks at each epoch which ones apply.

    Args:
        journal: Reads the edits that were made before the run was resumed.
        writer: Writes new ones to the journal.
        count: The number of training questions.
        current_step: Returns the run's last step.
        is_paused: Returns whether the run is paused.
    """

    def __init__(
        self,
        journal: CurationJournal,
        writer: JournalWriter,
        count: int,
        current_step: Callable[[], int],
        is_paused: Callable[[], bool],
    ) -> None:
        self._writer = writer
        self._count = count
        self._current_step = current_step
        self._is_paused = is_paused
        self._edits = journal.edits()

    def attach_to(self, gate: Gate) -> None:
        """Has the gate pass on the controls that are edits."""
        for kind in KINDS:
            gate.handlers[kind] = self.handle

    @property
    def has_edits(self) -> bool:
        """Whether there is any edit, also one that was taken back."""
        return bool(self._edits)

    def handle(self, control: Control) -> Reply:
        """Journals the edit that a control asks for; the reply says when it takes effect."""
        row = control.question  # the question's row in the training split
        if control.kind not in KINDS or row is None or not 0 <= row < self._count:
            return refused("no_such_question", f"there is no training question in row {row}; there are {self._count}")
        if not self._is_paused():
            return refused(
                "not_paused", "training questions can be edited only while the run is paused; pause it first"
            )
        edit = Edit(row, control.kind, control.answer, self._current_step(), control.by)
        self.add(edit)
        words = {
            "relabel": f"its answer is {visible(edit.answer)}",
            "drop": "it is left out of training",
            "restore": "it is trained on as in the data",
        }
        return accepted(edit.kind, f"question in row {row}: {words[edit.kind]}, from the next epoch on")

    def add(self, edit: Edit) -> None:
        """Journals an edit and keeps it, without checking it."""
        write_edit(self._writer, edit)
        self._edits.append(edit)

    def answers_after(self, step: int) -> dict[int, str | None]:
        """The answers, by row, for the epoch that starts after `step`; None drops the question."""
        return answers_of(current_edits(self._edits, step))


def check_answer(kind: str, answer: str) -> None:
    """Checks the answer of an edit.

    Raises:
        LooptopError: `relabel` has no answer, or one that is too long.
    """
    if kind == "relabel" and not answer.strip():
        raise LooptopError("an answer must not be empty; to leave a question out of training, drop it")
    if len(answer) > LONGEST_ANSWER:
        raise LooptopError(f"an answer has at most {LONGEST_ANSWER} characters; this one has {len(answer):,}")


def record_edit(folder: RunFolder, row: int, kind: EditKind, answer: str = "", by: str = "cli") -> Control | None:
    """Sends a person's edit of a training question to the run if it is live and paused, else writes it to the journal.

    Args:
        folder: A VQA run.
        row: The question's row in the training split.
        kind: `relabel`, `drop` or `restore`.
        answer: The new answer of `relabel`.
        by: What sent it: `cli`, `app` or `python`.

    Returns:
        The control, whose reply, perhaps a refusal, the run will journal; None if the run is not live: the edit has
            then already been written.

    Raises:
        LooptopError: There is no such question, the answer cannot be used, the run is live and not paused, or its
            journal cannot be written.
    """
    answer = answer.strip()
    check_answer(kind, answer)
    if (count := CurationJournal(folder.db).question_count()) <= row or row < 0:
        why = (
            f"they are 0 to {count - 1:,}"
            if count
            else "it has recorded none, because an older version made it or it has not started"
        )
        raise LooptopError(f"{folder.id} has no training question in row {row}: {why}")
    if folder.is_live():
        if folder.state() is not RunState.PAUSED:
            raise LooptopError(
                f"training questions can be edited only while the run is paused; pause it first: `looptop pause"
                f" {folder.shell_name}`"
            )
        return send(folder, kind, by, question=row, answer=answer)
    with RunLock(folder.lock, folder.id).acquire(heartbeat=False):
        # A resume continues from here; later steps are repeated.
        newest = newest_complete(folder.checkpoints)
        step = 0 if newest is None else step_of(newest)
        writer = JournalWriter(folder.db)
        write_edit(writer, Edit(row, kind, answer, step, by))
        if not writer.close():
            raise LooptopError(f"the journal of {folder.id} could not be written; is the disk full?")
    return None
