"""Several models are asked at once: marked in the picker, which shows how good each is; answers side by side."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.widgets import Input

from looptop.engine.asked.questions import AskedQuestions
from looptop.engine.helpers.answers import AskReply, AskRequest, BatchRequest
from looptop.engine.helpers.process import HelperState
from looptop.engine.vqa.evaluation import kept
from looptop.engine.vqa.evaluation.weights import digest_of
from looptop.engine.vqa.images.entries import ImageEntry
from looptop.engine.vqa.model.saved_models import ModelChoice, folder_of
from looptop.tui.app import LooptopApp
from looptop.tui.ask.answers.answer_view import AnswerView
from looptop.tui.ask.model_picker import ModelPicker, listed_models
from tests.factories.apps import make_app
from tests.factories.evaluations import evaluation, result
from tests.factories.image_lists import image_list
from tests.factories.quick_answers import QuickAnswers, answer_of
from tests.tui.ask_helpers import ask, column, open_many
from tests.tui.conftest import resize, shown, until

SIZE = (120, 40)
SAYS = {"bundled": "red", "vqa-2": "green", "vqa-3": "blue"}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> QuickAnswers:
    """Three models, each with its own answer."""
    choices = [ModelChoice(name, f"{name}, finished", Path("/nowhere")) for name in SAYS]
    monkeypatch.setattr("looptop.engine.vqa.model.saved_models.choices", lambda: choices)
    answers = QuickAnswers()

    def answer(request: AskRequest) -> AskReply:
        given = msgspec.structs.replace(answer_of(SAYS[request.model]), model=request.model)
        return AskReply(id=request.id, answer=given)

    answers.answer = answer
    return answers


@pytest.fixture
def images(tmp_path: Path) -> list[ImageEntry]:
    return image_list(tmp_path)


async def mark(pilot: Any, app: LooptopApp, *keys: str) -> None:
    await until(pilot, lambda: "0.png · the image" in shown(app))
    await pilot.press("m")
    await until(pilot, lambda: isinstance(app.screen, ModelPicker))
    await pilot.press(*keys)
    await until(pilot, lambda: not isinstance(app.screen, ModelPicker))


async def test_marked_models_answer_side_by_side(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await mark(pilot, app, "space", "space", "enter")
        await until(pilot, lambda: "models: bundled, vqa-2 · ready" in shown(app))
        await ask(pilot, "what colour?")
        await until(pilot, lambda: "Answer of bundled" in shown(app) and "Answer of vqa-2" in shown(app))
        for size in ((80, 24), (120, 40), (200, 60)):
            await resize(pilot, *size)
            await until(pilot, lambda: shown(app).count("75.0%") >= 4)
            views = list(app.screen.query(AnswerView))
            assert len(views) == 2 and all(view.size.height > 2 for view in views)
            beside = views[0].region.y == views[1].region.y
            assert beside is (size[0] >= 120), "beside each other where there is room, else below"
            texts = [str(view.query_one("#answer-text").render()) for view in views]
            assert "red" in texts[0] and "green" in texts[1]
    asked = AskedQuestions()
    entries = asked.entries(asked.ids()).values()
    assert {each.answer.model: each.answer.answer for each in entries} == {"bundled": "red", "vqa-2": "green"}


async def test_the_models_that_were_asked_last_come_first(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        app.kept.keep_asked(Path("/a.png"), "vqa-3")
        await until(pilot, lambda: "0.png · the image" in shown(app))
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, ModelPicker) and "vqa-2" in shown(app))
        text = shown(app)
        assert text.index("vqa-3, finished") < text.index("bundled, finished") < text.index("vqa-2, finished")


async def test_marked_models_are_asked_though_the_filter_shows_none(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, ModelPicker) and "vqa-2" in shown(app))
        await pilot.press("z", "z", "z")
        await until(pilot, lambda: "no model matches" in shown(app))
        await pilot.press("enter")
        assert isinstance(app.screen, ModelPicker)
        await pilot.press("backspace", "backspace", "backspace", "space", "space", "z", "z", "z")
        await until(pilot, lambda: "enter asks 2 models at once: bundled, vqa-2" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: "models: bundled, vqa-2 · ready" in shown(app))


async def test_one_model_again_leaves_one_answer(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await mark(pilot, app, "space", "space", "space", "enter")
        await until(pilot, lambda: len(app.screen.query(AnswerView)) == 3)
        await mark(pilot, app, "up", "space", "up", "up", "space", "enter")  # those of vqa-3 and bundled go
        await until(pilot, lambda: len(app.screen.query(AnswerView)) == 1)
        await until(pilot, lambda: "model: vqa-2 · ready" in shown(app))


async def test_a_model_that_fails_costs_only_its_own_answer(answers: QuickAnswers) -> None:
    app = make_app(answers)
    give, load = answers.answer, answers.load

    def otherwise(call: Callable[[AskRequest], AskReply]) -> Callable[[AskRequest], AskReply]:
        damaged = AskReply(error="vqa-2 is damaged", state=HelperState.READY)
        return lambda request: (
            msgspec.structs.replace(damaged, id=request.id) if request.model == "vqa-2" else call(request)
        )

    answers.answer, answers.load = otherwise(give), otherwise(load)
    async with app.run_test(size=SIZE) as pilot:
        await mark(pilot, app, "space", "space", "enter")
        await until(pilot, lambda: "✗ vqa-2 is damaged" in shown(app))
        first, second = app.screen.query(AnswerView)
        assert "✗" not in str(first.query_one("#answer-text").render())
        titles = [str(view.border_title) for view in (first, second)]
        assert titles == ["bundled", "vqa-2"], "a model's name stands over what is shown of it"
        await ask(pilot, "what colour?")
        await until(pilot, lambda: "✗ vqa-2 is damaged" in shown(app) and "Answer of bundled" in shown(app))


async def test_the_focused_answer_is_the_one_that_is_marked(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await mark(pilot, app, "space", "space", "enter")
        await ask(pilot, "what colour?")
        await until(pilot, lambda: "Earlier questions · 2" in shown(app))
        list(app.screen.query(AnswerView))[1].focus()
        await pilot.press("t", "w")
        await until(pilot, lambda: "✗✎" in shown(app))
    asked = AskedQuestions()
    entries = asked.entries(asked.ids()).values()
    assert {each.answer.model: each.right for each in entries} == {"bundled": None, "vqa-2": False}


async def test_all_marked_models_are_asked_about_all_images(
    answers: QuickAnswers, images: list[ImageEntry], home: Path
) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await mark(pilot, app, "space", "space", "enter")
        await open_many(pilot, app, images[:5])
        await until(pilot, lambda: "10 of 10" in shown(app))
        text = shown(app)
        assert "“What colour” · bundled, vqa-2" in text
        assert "bundled · 1 of 5 right (20.0%) · red 5" in text and "vqa-2 · 1 of 5 right (20.0%) · green 5" in text
        line = next(line for line in text.splitlines() if "1-green.png" in line)
        assert line.split("│")[1].split()[:7] == ["1-green.png", "✗", "red", "75.0%", "✓", "green", "75.0%"]
        await pilot.press("s", "s", "s", "s", "s", "S")  # image, then bundled's three columns, then vqa-2's mark
        await until(pilot, lambda: column(app, ".png")[0] == "1-green.png")
        await pilot.press("home", "right", "right", "right", "t", "w")
        await until(pilot, lambda: "✗✎" in shown(app))
        app.screen.query_one("#answers-filter", Input).value = "model:vqa-2 marked"
        await until(pilot, lambda: column(app, ".png") == ["1-green.png"])
        await pilot.press("E", "enter")
        await until(pilot, lambda: any("wrote 2 answers to" in each.message for each in app._notifications))
        await pilot.press("enter")
        await until(pilot, lambda: "Answer of bundled" in shown(app) and "Answer of vqa-2" in shown(app))
        assert "other answers" not in shown(app), "an answer of a table is shown with its candidates"
    with (home / "exports" / "answers.csv").open(newline="", encoding="utf-8") as file:
        rows = [(row["model"], row["answer"], row["judged_by"]) for row in csv.DictReader(file)]
    assert rows == [("bundled", "red", "data"), ("vqa-2", "green", "person")]


async def test_a_model_that_fails_leaves_the_others_their_answers(
    answers: QuickAnswers, images: list[ImageEntry]
) -> None:
    app = make_app(answers)
    answer_batch, damaged = answers.answer_batch, True

    def answer(request: BatchRequest) -> None:
        if damaged and request.model == "bundled":
            answers.replies.put(AskReply(id=request.id, error="bundled is damaged", state=HelperState.READY))
        else:
            answer_batch(request)

    answers.answer_batch = answer  # type: ignore[method-assign]
    async with app.run_test(size=SIZE) as pilot:
        await mark(pilot, app, "space", "space", "enter")
        await open_many(pilot, app, images[:5])
        await until(pilot, lambda: "5 of 10 · stopped; space continues · bundled: bundled is damaged" in shown(app))
        damaged = False
        await pilot.press("space")
        await until(pilot, lambda: "10 of 10" in shown(app))


def test_the_picker_shows_the_accuracy_of_a_kept_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Path(shutil.copytree(folder_of("bundled"), tmp_path / "model"))
    kept.keep(evaluation([result(), result(1, "blue")], weights=digest_of(model)), [])
    monkeypatch.setattr(
        "looptop.engine.vqa.model.saved_models.choices",
        lambda: [ModelChoice("mine", "a folder", model), ModelChoice("other", "a folder", tmp_path)],
    )
    mine, other = listed_models()
    assert (mine.accuracy, other.accuracy) == ("50.00 % easy-vqa:test", "")
