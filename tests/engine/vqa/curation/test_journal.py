"""The journal keeps the training questions, their losses by epoch, and edits."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from looptop.engine.config import preset
from looptop.engine.errors import LooptopError
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs.folder import RunFolder
from looptop.engine.vqa.curation import inherited
from looptop.engine.vqa.curation.edits import answers_of, current_edits
from looptop.engine.vqa.curation.journal import CHUNK, CurationJournal, write_edit, write_losses, write_questions
from looptop.engine.vqa.curation.records import Edit, TrainingQuestion


def written(path: Path, *write: Callable[[JournalWriter], object]) -> CurationJournal:
    writer = JournalWriter(path)
    for each in write:
        each(writer)
    assert writer.close()
    assert not writer.rejected_count
    return CurationJournal(path)


def questions(count: int) -> list[TrainingQuestion]:
    return [
        TrainingQuestion(f"q{number}", f"/images/{number}.png", f"what is {number}?", "red") for number in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 7])
def test_questions_come_back_whole_and_in_parts(tmp_path: Path, count: int) -> None:
    texts = questions(count)
    journal = written(tmp_path / "run.db", lambda writer: write_questions(writer, texts))
    assert journal.question_count() == count
    assert journal.questions() == texts
    for first, end in ((0, 1), (3, 9), (CHUNK - 2, CHUNK + 3), (count, count + 5)):
        assert journal.questions(range(first, end)) == texts[first:end]


def test_texts_of_any_kind_are_kept_safely(tmp_path: Path) -> None:
    strange = [TrainingQuestion("\0", "/a\udce9.png", "‮what\n?", ""), TrainingQuestion("1", "", "x" * 100_000, "é")]
    journal = written(tmp_path / "run.db", lambda writer: write_questions(writer, strange))
    assert journal.questions()[1] == strange[1]
    assert journal.questions()[0].image == "/a\\udce9.png"


def test_losses_come_back_by_epoch_and_go_with_the_steps_of_a_resume(tmp_path: Path) -> None:
    losses = np.array([0.5, math.nan, 1e-9], dtype=np.float32)

    def write(writer: JournalWriter) -> None:
        write_losses(writer, 2, 20, losses * 2)
        write_losses(writer, 1, 10, losses)

    journal = written(tmp_path / "run.db", write)
    first, second = journal.losses()
    assert (first.epoch, first.step, second.epoch, second.step) == (1, 10, 2, 20)
    assert first.losses == pytest.approx(losses, nan_ok=True)
    journal = written(tmp_path / "run.db", lambda writer: writer.discard_after(15))
    assert [each.epoch for each in journal.losses()] == [1]


def test_edits_stay_when_steps_are_made_again(tmp_path: Path) -> None:
    edits = [Edit(3, "relabel", "blue", 10, "app"), Edit(4, "drop", "", 20, "cli"), Edit(3, "restore", "", 30, "cli")]

    def write(writer: JournalWriter) -> None:
        for edit in edits:
            write_edit(writer, edit)
        writer.discard_after(5)

    assert written(tmp_path / "run.db", write).edits() == edits
    assert answers_of(current_edits(edits, 9)) == {}
    assert answers_of(current_edits(edits, 10)) == {3: "blue"}
    assert answers_of(current_edits(edits, 29)) == {3: "blue", 4: None}
    assert answers_of(current_edits(edits)) == {4: None}


def test_a_run_without_these_tables_has_nothing(tmp_path: Path) -> None:
    journal = CurationJournal(tmp_path / "run.db")
    assert (journal.question_count(), journal.questions(), journal.losses(), journal.edits()) == (0, [], [], [])


@pytest.mark.parametrize(
    ("damage", "read"),
    [
        ("UPDATE training_questions SET texts = x'00'", lambda journal: journal.questions()),
        ("UPDATE training_questions SET texts = 'x'", lambda journal: journal.question_count()),
        ("UPDATE question_losses SET losses = x'0000'", lambda journal: journal.losses()),
        ("UPDATE question_losses SET losses = 'text'", lambda journal: journal.losses()),
        ("UPDATE question_edits SET kind = 'burn'", lambda journal: journal.edits()),
        ("UPDATE question_edits SET row = 'x'", lambda journal: journal.edits()),
    ],
)
def test_a_damaged_journal_is_one_sentence(
    tmp_path: Path, damage: str, read: Callable[[CurationJournal], object]
) -> None:
    def write(writer: JournalWriter) -> None:
        write_questions(writer, questions(3))
        write_losses(writer, 1, 10, np.zeros(3, dtype=np.float32))
        write_edit(writer, Edit(0, "drop"))

    journal = written(tmp_path / "run.db", write)
    connection = sqlite3.connect(tmp_path / "run.db")
    with connection:
        connection.execute(damage)
    connection.close()
    with pytest.raises(LooptopError, match=r"run\.db is damaged"):
        read(journal)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"version": 99, "edits": "in another form"}', "newer looptop"),
        (b'{"version": 1, "edits": "in another form"}', "remove it to train without edits"),
        (b"{", "remove it to train without edits"),
        (b"[" * 100_000, "remove it to train without edits"),
    ],
)
def test_inherited_edits_that_cannot_be_read_are_one_sentence(content: bytes, says: str) -> None:
    run = RunFolder.create("vqa", preset("tiny"))
    (run.path / inherited.FILE).write_bytes(content)
    with pytest.raises(LooptopError, match=says) as caught:
        inherited.read_inherited(run)
    assert inherited.FILE in str(caught.value) and "\n" not in str(caught.value)
