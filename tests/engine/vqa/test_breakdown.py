"""The figures of each evaluation in a run's journal."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.vqa.breakdown import (
    LONGEST_NAME,
    MAX_TYPES,
    Outcome,
    breakdown_of,
    read_breakdowns,
    write_breakdown,
)
from looptop.engine.vqa.confusion import MAX_LABELS

OUTCOMES = [
    Outcome("red", "red", "other", "what color", 1.0),
    Outcome("red", "blue", "other", "what color", 0.3),
    Outcome("yes", "no", "yes/no", "", 0.0),
]


def written(path: Path, *write: Callable[[JournalWriter], object]) -> Journal:
    writer = JournalWriter(path)
    for each in write:
        each(writer)
    assert writer.close()
    assert not writer.rejected_count
    return Journal(path)


def change(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        for each in statements:
            connection.execute(each)
    connection.close()


texts = st.sampled_from([f"answer {number}" for number in range(30)])
scores = st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0])


@given(st.lists(st.builds(Outcome, texts, texts, st.sampled_from(["other", "yes/no"]), texts, scores), min_size=1))
def test_every_question_is_counted_once_in_each_figure(outcomes: list[Outcome]) -> None:
    breakdown = breakdown_of(outcomes)
    assert sum(map(sum, breakdown.confusion.counts)) == len(outcomes)
    assert len(breakdown.confusion.labels) <= MAX_LABELS
    for types in (breakdown.by_answer_type, breakdown.by_question_type):
        assert sum(one.questions for one in types) == len(outcomes)
        assert math.isclose(
            sum(one.questions * one.accuracy for one in types), sum(one.score for one in outcomes), abs_tol=1e-9
        )
        assert [one.questions for one in types] == sorted((one.questions for one in types), reverse=True)


def test_thousands_of_types_leave_the_largest() -> None:
    outcomes = [Outcome("red", "red", "other", f"type {number}", 1.0) for number in range(3000)]
    kept = breakdown_of([*outcomes, outcomes[2999]]).by_question_type
    assert len(kept) == MAX_TYPES and kept[0].name == "type 2999" and kept[0].questions == 2


def test_figures_come_back_by_step_and_go_with_the_steps_of_a_resume(tmp_path: Path) -> None:
    first, second = breakdown_of(OUTCOMES[:1]), breakdown_of(OUTCOMES)

    def write(writer: JournalWriter) -> None:
        write_breakdown(writer, 20, first)
        write_breakdown(writer, 20, second)
        write_breakdown(writer, 10, first)

    journal = written(tmp_path / "run.db", write)
    assert read_breakdowns(journal) == [(10, first), (20, second)]
    assert second.by_answer_type[0].accuracy == 0.65
    journal = written(tmp_path / "run.db", lambda writer: writer.discard_after(15))
    assert read_breakdowns(journal) == [(10, first)]


def test_answers_of_any_kind_are_kept(tmp_path: Path) -> None:
    strange = breakdown_of([Outcome("‮\0[b]", "\udce9", "", "x" * 1000, 1.0)])
    ((_, read),) = read_breakdowns(written(tmp_path / "run.db", lambda writer: write_breakdown(writer, 1, strange)))
    assert read.confusion.labels == ("‮\0[b]", "\\udce9")
    assert read.by_question_type[0].name == "x" * LONGEST_NAME


def test_a_run_of_an_older_looptop_has_none(tmp_path: Path) -> None:
    assert read_breakdowns(Journal(tmp_path / "run.db")) == []
    journal = written(tmp_path / "run.db", lambda writer: writer.metrics(1, {"loss": 1.0}))
    tables = ("training_questions", "question_losses", "question_edits", "evaluations")
    change(journal.path, *(f"DROP TABLE {name}" for name in tables), "PRAGMA user_version = 2")
    assert read_breakdowns(journal) == []
    written(journal.path, lambda writer: write_breakdown(writer, 20, breakdown_of(OUTCOMES)))
    assert [one.step for one in read_breakdowns(journal)] == [20]


@pytest.mark.parametrize(
    "damage",
    [
        "'{'",
        "x'00'",
        "'{}'",
        'replace(breakdown, \'"questions":2\', \'"questions":"two"\')',
        "replace(breakdown, '\"counts\":[[', '\"counts\":[[0,')",
        "printf('%.*c', 2000000, ' ')",
    ],
)
def test_a_damaged_journal_is_one_sentence(tmp_path: Path, damage: str) -> None:
    journal = written(tmp_path / "run.db", lambda writer: write_breakdown(writer, 20, breakdown_of(OUTCOMES)))
    change(journal.path, f"UPDATE evaluations SET breakdown = {damage}")
    with pytest.raises(LooptopError, match=r"run\.db is damaged: its evaluations"):
        read_breakdowns(journal)
