"""The earlier questions: they survive, are searched, marked, copied and exported."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from looptop.engine.asked.questions import AskedQuestions
from looptop.engine.asked.records import Judgement
from looptop.engine.asked.store import NAME
from looptop.engine.vqa.data import table
from looptop.engine.vqa.data.left_out import Problems
from looptop.engine.vqa.images.entries import ImageEntry
from looptop.tui.app import LooptopApp
from looptop.tui.ask.answers.answer_view import AnswerView
from looptop.tui.ask.answers.history import History
from tests.factories.apps import make_app
from tests.factories.asked import damaged, entry
from tests.factories.quick_answers import QuickAnswers
from tests.tui.ask_helpers import ask
from tests.tui.conftest import shown, until

SIZE = (120, 40)


def earlier(*entries: Any) -> None:
    """Questions of an older session."""
    AskedQuestions().add(entries)


async def open_history(pilot: Any, app: LooptopApp, text: str) -> None:
    await until(pilot, lambda: text in shown(app))
    app.screen.query_one(History).table.focus()
    await pilot.pause()


async def test_questions_of_an_older_session_are_in_the_list_and_offered_again(answers: QuickAnswers) -> None:
    earlier(entry("how many?", "three", model="vqa-3", truths=("two",)))
    app = make_app(answers)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(pilot, lambda: "how many?" in shown(app))
        line = next(line for line in shown(app).splitlines() if "how many?" in line)
        assert "✗" in line and "three" in line and "75.0%" in line and "1.png" in line and "vqa-3" in line
        assert "Earlier questions · 1" in shown(app)
        await pilot.press("a", "up")
        assert app.screen.query_one("#question").value == "how many?"  # type: ignore[attr-defined]


async def test_leaving_loses_nothing_and_asks_nothing(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "what is the color of the shape?")
        await until(pilot, lambda: "Earlier questions · 1" in shown(app))
        await pilot.press("escape", "q")
        await until(pilot, lambda: app._exit)
    asked = AskedQuestions()
    (kept,) = asked.entries(asked.ids()).values()
    assert (kept.question, kept.answer.answer, kept.answer.model) == (
        "what is the color of the shape?",
        "red",
        "bundled",
    )
    assert kept.right is True and kept.image.name == "0.png" and kept.image.is_absolute() and kept.model_stamp


async def test_the_list_is_filtered_and_enter_shows_the_answer_again(answers: QuickAnswers, picture: Path) -> None:
    mine = msgspec.structs.replace(entry("is it sure?", "no", confidence=0.3), image=picture)
    earlier(entry("how many?", "three"), mine, entry("what else?", "four"))
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await open_history(pilot, app, "how many?")
        await pilot.press("slash", *"confidence<0.5", "enter")
        await until(pilot, lambda: "how many?" not in shown(app) and "is it sure?" in shown(app))
        assert "Earlier questions: 1 of these" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: "no  30.0% confidence" in shown(app) and "my picture.png · the image" in shown(app))
        await pilot.press("slash")
        app.screen.query_one("#history-filter").value = "mode:x"  # type: ignore[attr-defined]
        await until(pilot, lambda: "did you mean 'model'?" in shown(app))


async def test_esc_closes_the_filter_from_the_list_and_from_its_field(answers: QuickAnswers) -> None:
    earlier(entry("how many?", "three"), entry("what else?", "four"))
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await open_history(pilot, app, "how many?")
        for keys in (("enter",), ()):
            await pilot.press("slash", *"many", *keys)
            await until(pilot, lambda: "Earlier questions: 1 of these" in shown(app) and "esc close" in shown(app))
            await pilot.press("escape")
            await until(pilot, lambda: "Earlier questions · 2" in shown(app) and "esc close" not in shown(app))
            assert not app.screen.query_one("#history-filter").display and app.focused is not None
            assert app.focused.id == "history-table"


async def test_the_history_of_the_image_on_display(answers: QuickAnswers, picture: Path) -> None:
    mine = msgspec.structs.replace(entry("is it sure?", "no"), image=picture)
    earlier(entry("how many?", "three"), mine)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "how many?" in shown(app))
        app.show_images("mine", [ImageEntry(picture)])
        await until(pilot, lambda: "my picture.png · the image" in shown(app))
        await pilot.press("h")
        await until(pilot, lambda: "Earlier questions: 1 of these" in shown(app) and "how many?" not in shown(app))
        await ask(pilot, "why?")
        await until(pilot, lambda: "Earlier questions: 2 of these" in shown(app))
        await pilot.press("escape", "h")
        await until(pilot, lambda: "Earlier questions · 3" in shown(app) and "how many?" in shown(app))
        assert not app.screen.query_one("#history-filter").display


async def test_an_answer_is_marked_and_corrected(answers: QuickAnswers) -> None:
    earlier(entry("how many?", "three"), entry("what shape?", "square"))
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await open_history(pilot, app, "how many?")
        await pilot.press("t", "r")
        await until(pilot, lambda: "✓✎" in shown(app))
        await pilot.press("down", "t", "c", *"two", "enter")
        await until(pilot, lambda: "✗✎" in shown(app))
        await pilot.press("up", "t", "n")
        await until(pilot, lambda: "✓✎" not in shown(app))
    asked = AskedQuestions()
    entries = asked.entries(asked.ids()).values()
    assert {each.question: each.judgement for each in entries} == {
        "what shape?": None,
        "how many?": Judgement(False, "two"),
    }


async def test_the_answer_on_display_is_marked_and_copied(answers: QuickAnswers) -> None:
    app = make_app(answers)
    copied: list[str] = []
    app.copy_to_clipboard = copied.append  # type: ignore[method-assign, assignment]
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await pilot.press("y")
        await until(pilot, lambda: "there is no answer yet" in shown(app))
        await ask(pilot, "why?")
        await until(pilot, lambda: "Earlier questions · 1" in shown(app))
        app.screen.query_one(AnswerView).focus()
        await pilot.press("t", "w")
        await until(pilot, lambda: "✗✎" in shown(app))
        await pilot.press("y")
        await until(pilot, lambda: copied)
        assert copied[0].startswith("why?\nred  75.0%\nbundled about /")


async def test_what_the_filter_shows_is_exported(answers: QuickAnswers, home: Path) -> None:
    earlier(entry("how many?", "three"), entry("what, exactly?", "a\nb", model="vqa-3"))
    app = make_app(answers)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await open_history(pilot, app, "how many?")
        await pilot.press("E", "enter")
        await until(pilot, lambda: "wrote 2 answers to" in shown(app))
        await pilot.press("slash", *"model:vqa-3", "enter")
        await until(pilot, lambda: "how many?" not in shown(app))
        await pilot.press("E", "down", "enter")
        await until(pilot, lambda: "wrote 1 answer to" in shown(app))
    with (home / "exports" / "answers.csv").open(newline="", encoding="utf-8") as file:
        assert [row["answer"] for row in csv.DictReader(file)] == ["a\nb", "three"]
    (line,) = (home / "exports" / "answers.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["model"] == "vqa-3"


async def test_what_a_person_judged_is_exported_as_training_data(
    answers: QuickAnswers, home: Path, picture: Path
) -> None:
    corrected = msgspec.structs.replace(
        entry("how many?", "three"), image=picture, judgement=Judgement(False, "two"), time=2.0
    )
    earlier(corrected, entry("what shape?"))
    app = make_app(answers)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await open_history(pilot, app, "how many?")
        await pilot.press("E", "down", "down", "enter")
        await until(pilot, lambda: any("looptop train vqa --data" in each.message for each in app._notifications))
    (row,) = table.rows(home / "exports" / "training-data" / "train.jsonl", Problems())
    assert (row.question, row.answer) == ("how many?", "two")


async def test_who_only_looks_sees_the_history_and_changes_nothing(
    answers: QuickAnswers, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier(entry("how many?", "three"))
    monkeypatch.setenv("LOOPTOP_READONLY", "1")
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await open_history(pilot, app, "how many?")
        await pilot.press("t")
        await ask(pilot, "and now?")
        await until(pilot, lambda: "Earlier questions · 2" in shown(app))
        assert "Is this answer right?" not in shown(app)
        await pilot.press("escape", "q")
        await until(pilot, lambda: app._exit)
    monkeypatch.delenv("LOOPTOP_READONLY")
    asked = AskedQuestions()
    assert [each.question for each in asked.entries(asked.ids()).values()] == ["how many?"]


async def test_a_damaged_history_is_one_sentence_and_asking_goes_on(answers: QuickAnswers, home: Path) -> None:
    damaged(home / NAME)
    app = make_app(answers)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await until(
            pilot, lambda: [each for each in app._notifications if "questions and answers are not kept" in each.message]
        )
        await ask(pilot, "why?")
        await until(pilot, lambda: "Earlier questions · 1" in shown(app))
        await pilot.press("escape", "q")
        await until(pilot, lambda: "Not kept: 1 question and its answer." in shown(app))


async def test_only_the_rows_on_the_screen_are_read(answers: QuickAnswers) -> None:
    earlier(*(entry(f"question {number}?") for number in range(1000)))
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await open_history(pilot, app, "question 999?")
        history = app.screen.query_one(History)
        assert "Earlier questions · 1,000" in shown(app)
        await pilot.press("end")
        await until(pilot, lambda: "question 0?" in shown(app))
        assert len(history._rows) < 500
