"""Asked questions survive, are searched, and never cost the app when their file cannot be used."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.asked import store as store_module
from looptop.engine.asked.entry_filter import about_image, parse
from looptop.engine.asked.questions import AskedQuestions
from looptop.engine.asked.records import Judgement
from looptop.engine.asked.store import NAME, AskedStore, QuestionKey
from looptop.engine.errors import LooptopError
from looptop.engine.vqa.answers.records import Answer
from tests.factories.asked import damaged, entry
from tests.factories.quick_answers import answer_of


def test_what_was_asked_is_read_by_the_next_session(home: Path) -> None:
    first = AskedQuestions()
    kept = first.add([entry("one?"), entry("two?", truths=("circle", "disc"))])
    next_session = AskedQuestions()
    ids = next_session.ids()
    again = next_session.entries(ids)
    assert [again[each].question for each in ids] == ["two?", "one?"]
    assert list(again.values()) != [] and again[kept[1].id].truths == ("circle", "disc")
    assert again[kept[0].id].answer.candidates == answer_of("circle").candidates
    assert stat.S_IMODE((home / NAME).stat().st_mode) == 0o600
    assert not first.trouble and not next_session.trouble


@given(
    name=st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name and b"/" not in name),
    question=st.text(max_size=40),
    answer=st.text(max_size=20),
)
def test_any_file_name_and_text_comes_back(name: bytes, question: str, answer: str) -> None:
    store = AskedStore(None)
    path = Path("/images") / os.fsdecode(name)
    one = msgspec.structs.replace(entry(question, answer), image=path)
    (number,) = store.add([one])
    back = store.entries([number])[number]
    assert back.image == path
    lossless = not any("\ud800" <= char <= "\udfff" for char in question + answer)
    if lossless:
        assert (back.question, back.answer.answer) == (question, answer)
    assert store.newest_answers([QuestionKey(path, question)], "bundled", "m")[QuestionKey(path, question)].id == number
    store.close()


def test_marks_and_corrections_belong_to_the_entry(home: Path) -> None:
    asked = AskedQuestions()
    right, wrong, data = asked.add([entry(), entry(), entry(truths=("square",))])
    asked.judge(right, Judgement(True))
    asked.judge(wrong, Judgement(False, "square"))
    again = AskedQuestions().entries([right.id, wrong.id, data.id])
    assert [again[each.id].right for each in (right, wrong, data)] == [True, False, False]
    assert [again[each.id].confirmed_answer for each in (right, wrong, data)] == ["circle", "square", ""]
    asked.judge(data, Judgement(True))
    assert AskedQuestions().entries([data.id])[data.id].right is True, "the person overrules the data"
    asked.judge(data, None)
    assert AskedQuestions().entries([data.id])[data.id].right is False


@pytest.mark.parametrize(
    ("text", "questions"),
    [
        ("", ["c", "b", "a"]),
        ("model:vqa-3", ["b"]),
        ("image:2.png", ["c"]),
        ("right", ["a"]),
        ("wrong", ["b"]),
        ("-right", ["c", "b"]),
        ("confidence<0.5", ["c"]),
        ("confidence>=50%", ["b", "a"]),
        ("square or right", ["b", "a"]),
        ("answer:square wrong", ["b"]),
        ("marked", ["b"]),
    ],
)
def test_it_is_searched_by_the_one_grammar(text: str, questions: list[str]) -> None:
    store = AskedStore(None)
    store.add(
        [
            entry("a", truths=("circle",)),
            msgspec.structs.replace(entry("b", "square", model="vqa-3"), judgement=Judgement(False)),
            entry("c", image="/images/2.png", confidence=0.25),
            entry("in a table", in_table=True),
        ]
    )
    ids = store.ids(parse(text))
    entries = store.entries(ids)
    assert [entries[each].question for each in ids] == questions


@pytest.mark.parametrize("text", ["models:x", "loss<1", "confidence<", "(a"])
def test_a_wrong_filter_is_one_sentence(text: str) -> None:
    with pytest.raises(LooptopError):
        parse(text)


def test_a_kept_answer_is_that_of_the_same_model_and_question() -> None:
    store = AskedStore(None)
    store.add([entry("a", "old"), entry("a", "new"), entry("a", "other", model="vqa-3")])
    path = Path("/images/1.png")
    asked = [QuestionKey(path, "a"), QuestionKey(path, "b"), QuestionKey(Path("/images/2.png"), "a")]
    answered = store.newest_answers(asked, "bundled", "m")
    assert {key: each.answer.answer for key, each in answered.items()} == {asked[0]: "new"}
    assert store.newest_answers(asked, "bundled", "another stamp") == {}


def test_old_answers_of_tables_go_but_not_what_a_person_asked_or_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAX_TABLE_ENTRIES", 2)
    store = AskedStore(tmp_path / NAME)
    judged, *_ = store.add([entry(str(number), in_table=number != 1) for number in range(6)])
    store.judge(judged, Judgement(True))
    store.close()
    kept = AskedStore(tmp_path / NAME).entries(range(1, 7))
    assert [each.question for each in kept.values()] == ["0", "1", "4", "5"]


def test_several_looptops_write_at_once(tmp_path: Path) -> None:
    stores = [AskedStore(tmp_path / NAME) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda store=store: [store.add([entry()]) for _ in range(25)]) for store in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores[0].ids()) == 100


def test_what_was_answered_before_kill_9_is_kept(home: Path) -> None:
    program = """
import os, signal
from looptop.engine.asked.questions import AskedQuestions
from tests.factories.asked import entry
AskedQuestions().add([entry("the last one?")])
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], env=dict(os.environ), check=False)
    assert done.returncode == -signal.SIGKILL
    asked = AskedQuestions()
    assert [each.question for each in asked.entries(asked.ids()).values()] == ["the last one?"]


def from_the_future(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE entries (id INTEGER); PRAGMA user_version = 1")
    connection.close()


def a_link(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere.db"))


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("image", ["/images/1.png", "/my images/1, 2 (a).png", '/a "b"/-c.png', "/é\n[b].png"])
def test_a_filter_for_one_image_accepts_no_other(image: str) -> None:
    chosen = parse(about_image(Path(image)))
    assert chosen.holds(entry(image=image))
    assert not any(chosen.holds(entry(image=other)) for other in ("/images/11.png", "/other/1.png", "/1.png"))


@pytest.mark.parametrize("harm", [damaged, from_the_future, foreign, a_link, a_folder])
def test_a_file_that_cannot_be_used_costs_one_sentence(home: Path, harm: object) -> None:
    assert callable(harm)
    harm(home / NAME)
    before = (home / NAME).read_bytes() if (home / NAME).is_file() else b""
    asked = AskedQuestions()
    assert list(asked.ids()) == []
    (kept,) = asked.add([entry("still asked?")])
    assert asked.trouble.endswith("questions and answers are not kept") and "\n" not in asked.trouble
    assert [each.question for each in asked.entries(asked.ids()).values()] == ["still asked?"]
    assert asked.judge(kept, Judgement(True)).right
    assert asked.entries([kept.id])[kept.id].right
    if harm in (damaged, from_the_future):
        assert (home / NAME).read_bytes() == before, "it is left as it is"
    assert not (home / "elsewhere.db").exists()


def test_an_answer_of_another_form_is_shown_by_its_text(tmp_path: Path) -> None:
    store = AskedStore(tmp_path / NAME)
    (number,) = store.add([entry()])
    connection = sqlite3.connect(tmp_path / NAME)
    connection.execute("UPDATE entries SET details = x'7b7d'")
    connection.commit()
    connection.close()
    back: Answer = store.entries([number])[number].answer
    assert (back.answer, back.confidence, back.model) == ("circle", 0.75, "bundled")


def test_a_row_of_other_types_is_one_sentence(tmp_path: Path) -> None:
    store = AskedStore(tmp_path / NAME)
    (number,) = store.add([entry()])
    connection = sqlite3.connect(tmp_path / NAME)
    connection.execute("UPDATE entries SET image = 7, truths = 'no list'")
    connection.commit()
    connection.close()
    with pytest.raises(LooptopError, match="cannot be used"):
        store.entries([number])
