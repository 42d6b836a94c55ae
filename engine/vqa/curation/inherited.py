"""Carries the edits of a run's training questions over to a run that is made like it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import msgspec
from msgspec import Struct

from looptop.engine.encoding import encode_json, restored
from looptop.engine.errors import UNREADABLE, LooptopError
from looptop.engine.files.private import read_regular, write_private
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible
from looptop.engine.vqa.curation.edits import current_edits
from looptop.engine.vqa.curation.journal import CHUNK, CurationJournal
from looptop.engine.vqa.curation.records import Edit, EditKind, TrainingQuestion

FILE = "inherited-edits.json"
"""The name of the file in the new run's folder that holds the edits."""

MAX_BYTES = 64 * 2**20

VERSION = 1


class _AnyFile(Struct, frozen=True):
    """What all versions of the file have."""

    version: int = 1


class InheritedEdit(Struct, frozen=True):
    """An edit, with the question that it is about."""

    question_id: str
    image: str
    question: str
    kind: EditKind
    answer: str = ""
    """The new answer of a `relabel`; empty for other kinds."""


class InheritedEdits(Struct, frozen=True, kw_only=True):
    """The content of the file."""

    version: int = VERSION
    run: str
    """The id of the run whose edits they are."""
    edits: list[InheritedEdit]


def edits_to_inherit(parent: RunFolder) -> InheritedEdits | None:
    """The edits in force of a run, for one that is started with `--like`; None if it has none.

    Raises:
        LooptopError: The run's journal is damaged.
    """
    journal = CurationJournal(parent.db)
    current = sorted(current_edits(journal.edits()).items())
    edits = []
    for chunk, some in groupby(current, lambda item: item[0] // CHUNK):
        questions = journal.questions(range(chunk * CHUNK, (chunk + 1) * CHUNK))
        edits += [
            InheritedEdit(question.question_id, question.image, question.question, edit.kind, edit.answer)
            for row, edit in some
            for question in questions[row % CHUNK : row % CHUNK + 1]
        ]
    return InheritedEdits(run=parent.id, edits=edits) if edits else None


def count_inheritable(parent: RunFolder) -> int:
    """The number of edits in force of a run, which one that is started with `--like` tries to take over.

    Raises:
        LooptopError: The run's journal is damaged.
    """
    return len(current_edits(CurationJournal(parent.db).edits()))


def write_inherited(folder: RunFolder, inherited: InheritedEdits) -> None:
    """Writes edits into the folder of a new run, which reads them when it starts.

    Raises:
        LooptopError: They cannot be written.
    """
    try:
        write_private(folder.path / FILE, encode_json(inherited))
    except OSError as error:
        raise LooptopError(f"cannot write {visible(folder.path / FILE)}: {error.strerror}") from None


def read_inherited(folder: RunFolder) -> InheritedEdits | None:
    """The edits that a run inherits; None if there are none.

    Raises:
        LooptopError: The file is damaged, or of a newer looptop.
    """
    path = folder.path / FILE
    try:
        content = restored(msgspec.json.decode(read_regular(path, MAX_BYTES)))
        # The version first: a newer file may have other fields.
        if msgspec.convert(content, _AnyFile).version > VERSION:
            raise LooptopError(
                f"{visible(path)} was written by a newer looptop; update looptop, or remove it to train without edits"
            )
        return msgspec.convert(content, InheritedEdits)
    except FileNotFoundError:
        return None
    except (OSError, *UNREADABLE) as error:
        raise LooptopError(f"cannot read {visible(path)}: {visible(error)}; remove it to train without edits") from None


def edits_for_rows(inherited: InheritedEdits, questions: Sequence[TrainingQuestion]) -> list[Edit]:
    """The edits, each with its row in the new run's training split.

    Each edit goes to the row with the same image, question and question id. If no row has that id, it goes to every row
    with the same image and question. Edits of questions that the data no longer has are left out.

    Args:
        inherited: The edits of the other run.
        questions: The new run's training split, row by row.
    """
    by_text: dict[tuple[str, str], list[int]] = {}
    for row, question in enumerate(questions):
        by_text.setdefault((question.image, question.question), []).append(row)
    edits = []
    for each in inherited.edits:
        rows = by_text.get((each.image, each.question), [])
        same = [row for row in rows if questions[row].question_id == each.question_id]
        edits += [Edit(row, each.kind, each.answer, 0, inherited.run) for row in same or rows]
    return edits
