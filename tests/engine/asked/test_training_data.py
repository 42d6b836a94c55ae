"""What a person says of answers comes back as training data, by looptop's own readers and as VQA v2."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from looptop.engine.asked.records import Entry, Judgement
from looptop.engine.asked.training_data import write_training_data
from looptop.engine.errors import LooptopError
from looptop.engine.vqa.data import table, vqa_v2
from looptop.engine.vqa.data.left_out import Problems
from looptop.engine.vqa.data.official_files import read_annotations, read_questions
from looptop.engine.vqa.data.rows import Limits
from tests.factories.asked import entry


def image(folder: Path, name: str | bytes, colour: str = "red") -> Path:
    path = folder / os.fsdecode(name)
    Image.new("RGB", (8, 8), colour).save(path, format="PNG")
    return path


def judged(path: Path, question: str, judgement: Judgement | None, answer: str = "circle", when: float = 1.0) -> Entry:
    return msgspec.structs.replace(entry(question, answer), image=path, judgement=judgement, time=when)


def read_both(folder: Path) -> tuple[list[tuple[str, str, bytes]], list[tuple[str, str, bytes]]]:
    """Question, answer and image of each row, by the table and by VQA v2's files."""
    tables = table.find_tables(folder)
    assert list(tables) == ["train"]
    problems = Problems()
    as_table = list(table.rows(tables["train"], problems))
    official = vqa_v2.rows(
        folder / "annotations.json", folder / "questions.json", folder / "images", Limits(), 3, problems
    )
    as_official = list(official)
    assert not len(problems), problems.summary()

    def facts(rows: list[object]) -> list[tuple[str, str, bytes]]:
        return [(row.question, row.answer, Path(row.image).read_bytes()) for row in rows]  # type: ignore[attr-defined]

    return facts(list(as_table)), facts(list(as_official))


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20).map(str.strip).filter(bool)  # type: ignore[arg-type]


@given(rows=st.lists(st.tuples(TEXTS, TEXTS, st.booleans()), min_size=1, max_size=6, unique_by=lambda row: row[0]))
def test_both_forms_give_back_what_was_typed(rows: list[tuple[str, str, bool]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = image(folder, "one.png")
        entries = [
            judged(path, question, Judgement(True) if right else Judgement(False, taught), taught if right else "x", at)
            for at, (question, taught, right) in enumerate(rows)
        ]
        written = write_training_data(entries, folder / "out")
        assert (written.questions, written.images) == (len(rows), 1)
        wanted = [(question, taught, path.read_bytes()) for question, taught, _ in rows]
        as_table, as_official = read_both(folder / "out")
        assert as_table == wanted
        assert as_official == wanted


def test_only_what_a_person_judged_is_taught_and_the_newest_holds(tmp_path: Path) -> None:
    one, other = image(tmp_path, b"caf\xe9 \xff.png"), image(tmp_path, "other.PNG", "blue")
    entries = [
        judged(one, "what?", Judgement(False, "newer"), when=9.0),
        judged(one, "what?", Judgement(True), when=3.0),
        judged(other, "what?", Judgement(True), "square"),
        judged(other, "wrong, and nothing better known?", Judgement(False)),
        judged(other, "by the data only?", None),
        judged(tmp_path / "gone.png", "what?", Judgement(True)),
    ]
    written = write_training_data(entries, tmp_path / "out")
    assert (written.questions, written.images, written.missing) == (2, 2, (tmp_path / "gone.png",))
    as_table, as_official = read_both(written.folder)
    assert as_table == as_official
    assert {(answer, pixels) for _, answer, pixels in as_table} == {
        ("newer", one.read_bytes()),
        ("square", other.read_bytes()),
    }


def test_the_official_files_are_official(tmp_path: Path) -> None:
    write_training_data([judged(image(tmp_path, "a.png"), "how many?", Judgement(True), "3")], tmp_path / "out")
    (question,) = read_questions(tmp_path / "out" / "questions.json")
    (annotation,) = read_annotations(tmp_path / "out" / "annotations.json")
    assert question.question_id == annotation.question_id
    assert [vote.answer for vote in annotation.answers] == ["3"] * 10
    assert (annotation.multiple_choice_answer, annotation.answer_type) == ("3", "number")


def test_nothing_judged_is_one_sentence_and_no_folder(tmp_path: Path) -> None:
    with pytest.raises(LooptopError, match="mark some first"):
        write_training_data([judged(image(tmp_path, "a.png"), "why?", None)], tmp_path / "out")
    with pytest.raises(LooptopError, match="can be read"):
        write_training_data([judged(tmp_path / "gone.png", "why?", Judgement(True))], tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(LooptopError, match="exists already"):
        write_training_data([judged(image(tmp_path, "a.png"), "why?", Judgement(True))], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
