"""One question about all images: a table that fills, goes on, is sorted, filtered, marked and exported."""

from __future__ import annotations

import csv
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.widgets import Input

from looptop.engine.asked.many import ImageQuestion, new_entry
from looptop.engine.asked.questions import AskedQuestions
from looptop.engine.asked.records import Entry
from looptop.engine.helpers.answers import AskReply, BatchAnswer, BatchRequest
from looptop.engine.helpers.process import HelperState
from looptop.engine.vqa.images.entries import ImageEntry
from looptop.tui.ask.many import answers as many_answers
from looptop.tui.ask.many.page import ManyPage
from tests.factories.apps import make_app
from tests.factories.image_lists import image_list
from tests.factories.quick_answers import QuickAnswers, answer_of
from tests.tui.ask_helpers import ask, column, open_many
from tests.tui.conftest import shown, until

SIZE = (120, 40)


class BatchAnswers(QuickAnswers):
    """Answers with the image's name; batches wait until they are released."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[BatchRequest] | None = None
        self.batches: list[BatchRequest] = []
        self.error = ""

    def answer_batch(self, request: BatchRequest) -> None:
        self.batches.append(request)
        if self.held is not None:
            self.held.append(request)
        else:
            self.release(request)

    def release(self, request: BatchRequest) -> None:
        if self.error:
            self.replies.put(AskReply(id=request.id, error=self.error, state=HelperState.READY))
            return
        answers = [
            BatchAnswer(error="the image is damaged")
            if "bad" in image
            else BatchAnswer(answer=answer_of(Path(image).stem.split("-")[1], 0.5 + 0.1 * int(Path(image).stem[0])))
            for image, _ in request.questions
        ]
        self.replies.put(AskReply(id=request.id, batch=answers, state=HelperState.READY))

    @property
    def asked_images(self) -> list[str]:
        return [Path(image).name for batch in self.batches for image, _ in batch.questions]


@pytest.fixture
def answers() -> BatchAnswers:
    return BatchAnswers()


@pytest.fixture
def images(tmp_path: Path) -> list[ImageEntry]:
    return image_list(tmp_path)


async def test_one_question_about_all_images_fills_a_table(answers: BatchAnswers, images: list[ImageEntry]) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await open_many(pilot, app, images)
        await until(pilot, lambda: "6 of 6" in shown(app))
        text = shown(app)
        lines = {line.split("png")[0].split()[-1]: line for line in text.splitlines() if ".png" in line}
        assert "✗" in lines["0-red."] and "pink" in lines["0-red."] and "50.0%" in lines["0-red."]
        assert "✓" in lines["2-blue."] and "70.0%" in lines["2-blue."]
        assert "the image" in lines["5-bad."]
        assert "1 without an answer" in text and "4 of 5 right (80.0%)" in text and "red 2" in text
    asked = AskedQuestions()
    assert list(asked.ids()) == [], "the history holds what was typed"


async def test_it_stops_and_goes_on_and_takes_kept_answers(answers: BatchAnswers, images: list[ImageEntry]) -> None:
    app = make_app(answers)
    answers.held = []
    async with app.run_test(size=SIZE) as pilot:
        await open_many(pilot, app, images)
        await until(pilot, lambda: answers.held)
        await pilot.press("escape")
        await until(pilot, lambda: "stopped; space continues" in shown(app))
        answers.release(answers.held[0])
        await until(pilot, lambda: "4 of 6" in shown(app))
        assert len(answers.batches) == 1
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, ManyPage))
        answers.held = None
        await open_many(pilot, app, images)
        await until(pilot, lambda: "6 of 6" in shown(app))
        assert len(answers.asked_images) == 6, "what was answered before is not asked again"


async def test_it_goes_on_while_the_table_is_closed_and_a_typed_question_comes_first(
    answers: BatchAnswers, images: list[ImageEntry]
) -> None:
    app = make_app(answers)
    answers.held = []
    async with app.run_test(size=SIZE) as pilot:
        await open_many(pilot, app, images)
        await until(pilot, lambda: answers.held)
        await pilot.press("2")
        await until(pilot, lambda: app.current_mode == "train")
        await pilot.press("escape", "alt+1")
        await until(pilot, lambda: "asking 6 questions: 0" in shown(app))
        await ask(pilot, "what is it?")
        await until(pilot, lambda: "red  75.0% confidence" in shown(app))
        assert len(answers.batches) == 1
        await pilot.press("escape", "q")
        await until(pilot, lambda: "Not kept: the answers that the table still waits for." in shown(app))
        await pilot.press("escape")
        first, answers.held = answers.held[0], None
        answers.release(first)
        await until(pilot, lambda: len(answers.asked_images) == 6 and "asking" not in shown(app))
        await pilot.press("escape", "A")
        await until(pilot, lambda: app.screen.query("#many-question"))


async def test_the_top_line_says_that_kept_answers_are_read_and_when_they_are(
    answers: BatchAnswers, images: list[ImageEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = threading.Event()

    def all_kept(kept: AskedQuestions, questions: Sequence[ImageQuestion], *model: str) -> dict[int, Entry]:
        read.wait()
        new = [new_entry(each, answer_of("red"), "") for each in questions]
        return dict(enumerate(kept.add(new)))

    monkeypatch.setattr(many_answers, "kept_entries", all_kept)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await open_many(pilot, app, images)
        await pilot.press("1")
        await until(pilot, lambda: "ready · asking 6 questions: 0" in shown(app))
        read.set()
        await until(pilot, lambda: "model: bundled · ready" in shown(app) and "asking" not in shown(app))


async def test_the_lists_own_questions_are_asked(answers: BatchAnswers, images: list[ImageEntry]) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await open_many(pilot, app, images, question="")
        await until(pilot, lambda: "10 of 10" in shown(app))
        assert {question for batch in answers.batches for _, question in batch.questions} == {"what colour?", "why?"}
        assert "the list's own questions" in shown(app) and "4 of 10 right (40.0%)" in shown(app)


async def test_it_is_sorted_filtered_and_shown_on_ask(answers: BatchAnswers, images: list[ImageEntry]) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await open_many(pilot, app, images)
        await until(pilot, lambda: "6 of 6" in shown(app))
        await pilot.press("s", "s", "s")  # mark, image, answer
        await until(pilot, lambda: column(app, ".png")[:2] == ["2-blue.png", "1-green.png"])
        await pilot.press("S")
        await until(pilot, lambda: column(app, ".png")[0] == "4-teal.png")
        await pilot.press("slash", *"confidence<60%", "enter")
        await until(pilot, lambda: column(app, ".png") == ["0-red.png"])
        assert "1 shown" in shown(app)
        app.screen.query_one("#answers-filter", Input).value = "confidence<"
        await until(pilot, lambda: "ends too early" in shown(app))
        app.screen.query_one("#answers-filter", Input).value = "answer:teal"
        await until(pilot, lambda: column(app, ".png") == ["4-teal.png"])
        await pilot.press("enter")
        await until(pilot, lambda: "teal  90.0% confidence" in shown(app) and "4-teal.png · the image" in shown(app))


async def test_answers_are_marked_corrected_and_exported(
    answers: BatchAnswers, images: list[ImageEntry], home: Path
) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await open_many(pilot, app, images)
        await until(pilot, lambda: "6 of 6" in shown(app))
        await pilot.press("t", "c", *"scarlet", "enter")
        await until(pilot, lambda: "✗✎" in shown(app) and "scarlet" in shown(app))
        await pilot.press("down", "t", "w")
        await until(pilot, lambda: shown(app).count("✗✎") == 2)
        await pilot.press("slash", *"marked", "enter", "E", "enter")
        await until(pilot, lambda: any("wrote 2 answers" in each.message for each in app._notifications))
    with (home / "exports" / "answers.csv").open(newline="", encoding="utf-8") as file:
        rows = [(Path(row["image"]).name, row["right"], row["correction"]) for row in csv.DictReader(file)]
    assert rows == [("0-red.png", "no", "scarlet"), ("1-green.png", "no", "")]


async def test_a_model_that_ends_is_reported_and_asked_again(answers: BatchAnswers, images: list[ImageEntry]) -> None:
    app = make_app(answers)
    answers.error = "the answering process ended (signal SIGKILL)"
    async with app.run_test(size=SIZE) as pilot:
        await open_many(pilot, app, images)
        await until(pilot, lambda: "signal SIGKILL" in shown(app) and "stopped; space continues" in shown(app))
        answers.error = ""
        await pilot.press("space")
        await until(pilot, lambda: "6 of 6" in shown(app))


async def test_a_list_without_questions_needs_one(answers: BatchAnswers, images: list[ImageEntry]) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        app.show_images("mine", [ImageEntry(entry.image) for entry in images])
        await until(pilot, lambda: "0-red.png · the image" in shown(app))
        await pilot.press("A")
        await until(pilot, lambda: "the data has none about 6 images" in shown(app))
        await pilot.press("enter")
        assert app.screen.query("#many-question")
        await pilot.press("escape")
        await until(pilot, lambda: not app.screen.query("#many-question"))
