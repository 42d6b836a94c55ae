"""The evaluation of a model on the screen: kept figures at once, evaluating beside the app, images of a cell."""

from __future__ import annotations

import functools
import json
import queue
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.cells import cell_len

from looptop.engine.config import preset
from looptop.engine.helpers.evaluations import EvaluationReply, EvaluationRequest
from looptop.engine.helpers.process import HelperState
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.progress import Progress
from looptop.engine.vqa.evaluation import kept, weights
from looptop.engine.vqa.evaluation.intervals import clustered_mean
from looptop.engine.vqa.evaluation.records import Evaluation, QuestionResult
from looptop.engine.vqa.evaluation.reliability import reliability_bins
from looptop.engine.vqa.model.saved_models import folder_of
from looptop.tui.app import LooptopApp
from looptop.tui.evaluation.confusion_grid import ConfusionGrid
from looptop.tui.evaluation.page_line import PageLine
from looptop.tui.evaluation.screen import EvaluationScreen
from looptop.tui.plots.interval import interval_drawing
from looptop.tui.plots.reliability_chart import reliability_drawing
from looptop.tui.widgets.table import MORE_COLUMNS
from tests.factories.evaluations import evaluation, result
from tests.factories.quick_answers import QuickAnswers
from tests.tui.conftest import resize, shown, until

SIZE = (120, 40)


class QuickEvaluator:
    """An evaluating process that a test drives."""

    def __init__(self) -> None:
        self.asked: list[EvaluationRequest] = []
        self.replies: queue.Queue[EvaluationReply] = queue.Queue()
        self.closed = 0

    def start(self) -> None:
        pass

    def ask(self, request: EvaluationRequest) -> None:
        self.asked.append(request)

    def read(self) -> EvaluationReply:
        return self.replies.get()

    def close(self) -> None:
        self.closed += 1
        self.replies.put(EvaluationReply(state=HelperState.ENDED))

    def say(self, **reply: Any) -> None:
        self.replies.put(EvaluationReply(id=1, **reply))


@pytest.fixture
def evaluator() -> QuickEvaluator:
    return QuickEvaluator()


@pytest.fixture
def app(answers: QuickAnswers, evaluator: QuickEvaluator) -> LooptopApp:
    return LooptopApp(make_process=lambda: answers, make_evaluator=lambda: evaluator)


def results_on(folder: Path, truths: Sequence[str] = ("red", "red", "blue", "red")) -> list[QuestionResult]:
    """Questions about images that exist; the second answer is wrong."""
    results = []
    for number, truth in enumerate(truths):
        image = folder / f"image-{number}.png"
        Image.new("RGB", (20, 20), truth).save(image)
        answer = "blue" if number == 1 else truth
        results.append(result(number, answer, truth, image=str(image), image_id=str(number)))
    return results


def keep(model: str, results: Sequence[QuestionResult], **changes: Any) -> Evaluation:
    """Keeps an evaluation of a model with these answers."""
    images = [one.image_id for one in results]
    accuracy = clustered_mean([one.score for one in results], images)
    one = evaluation(results, model=model, weights=weights.digest_of(folder_of(model)), accuracy=accuracy, **changes)
    assert kept.keep(one, results) == ""
    return one


def make_run() -> RunFolder:
    """A run that has a model, if nobody loads it."""
    run = RunFolder.create("vqa", preset("tiny"))
    run.model.mkdir()
    (run.model / "config.json").write_text(json.dumps({"model_type": "looptop-vqa"}))
    (run.model / "model.safetensors").write_bytes(b"weights")
    return run


def shows(app: LooptopApp, words: str) -> bool:
    return words in shown(app)


async def opened(pilot: Any, key: str = "e") -> EvaluationScreen:
    await pilot.press(key)
    await until(pilot, lambda: isinstance(pilot.app.screen, EvaluationScreen))
    screen = pilot.app.screen
    assert isinstance(screen, EvaluationScreen)
    return screen


async def test_kept_figures_are_shown_at_once_and_cells_open_their_images(
    app: LooptopApp, evaluator: QuickEvaluator, tmp_path: Path
) -> None:
    keep("bundled", results_on(tmp_path))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "easy-vqa:test" in shown(app) and "4 questions about 4 images" in shown(app))
        assert "accuracy" in shown(app) and "75.00 %" in shown(app) and "question only" in shown(app)
        assert "The official VQA accuracy." in shown(app)
        await pilot.press("]")
        await until(pilot, lambda: "0 to   7 %" in shown(app) and "answers" in shown(app))
        await pilot.press("]")
        await until(pilot, lambda: "[1]" in shown(app))
        assert "Right: red; answered: blue: 1 of 3 questions (33.3 %)." in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.current_mode == "ask" and "red → blue" in shown(app))
        assert "image-1.png" in shown(app) and "image-0.png" not in shown(app)
        assert not evaluator.asked


async def test_the_hardest_question_opens_its_image_first(app: LooptopApp, tmp_path: Path) -> None:
    keep("bundled", results_on(tmp_path))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "accuracy" in shown(app))
        await pilot.press("]", "]", "]", "down")
        await until(pilot, lambda: "p(right)" in shown(app) and "answered: red" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.current_mode == "ask" and "image-0.png · the image" in shown(app))


async def test_a_group_opens_its_images_the_wrong_answers_first(app: LooptopApp, tmp_path: Path) -> None:
    keep("bundled", results_on(tmp_path))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "by answer type" in shown(app))
        await pilot.press("G", "up", "enter")
        await until(pilot, lambda: app.current_mode == "ask" and "image-1.png · the image" in shown(app))
        assert "─ red ─" in shown(app)
        assert "image-2.png" not in shown(app)


async def test_evaluating_shows_how_far_it_is_can_be_cancelled_and_ends_with_figures(
    app: LooptopApp, evaluator: QuickEvaluator, tmp_path: Path
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "has not been evaluated yet" in shown(app))
        await pilot.press("r")
        await until(pilot, lambda: "esc cancels  starting PyTorch" in shown(app))
        evaluator.say(activity="evaluating", progress=Progress("answering the questions", 2, 4, 7.0))
        await until(pilot, lambda: "answering the questions: 2 of 4, 7 s left" in shown(app))
        assert app.screen.unsaved() == ["the evaluation of bundled"]  # type: ignore[attr-defined]
        await pilot.press("escape")
        await until(pilot, lambda: evaluator.closed == 1 and "cancelled" in shown(app))
        assert isinstance(app.screen, EvaluationScreen)
        await pilot.press("r")
        await until(pilot, lambda: len(evaluator.asked) == 2)
        keep("bundled", results_on(tmp_path))
        evaluator.say(state=HelperState.READY, notes=("left out: one image",))
        await until(pilot, lambda: "75.00 %" in shown(app) and "left out: one image" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.current_mode == "ask")


async def test_an_error_of_an_evaluation_is_shown(app: LooptopApp, evaluator: QuickEvaluator) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await pilot.press("r")
        await until(pilot, lambda: evaluator.asked)
        evaluator.say(state=HelperState.READY, error="there is no data 'x[/b]'")
        await until(pilot, lambda: "there is no data 'x[/b]'" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.current_mode == "ask")


async def test_another_model_is_compared_on_the_same_questions(
    app: LooptopApp, evaluator: QuickEvaluator, tmp_path: Path
) -> None:
    run = make_run()
    results = results_on(tmp_path)
    one = keep("bundled", results, source="my data", split="validation", limit=4)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "my data:validation, the first 4" in shown(app))
        await pilot.press("c")
        await until(
            pilot, lambda: "Compare with" in shown(app) and "not evaluated on these questions yet" in shown(app)
        )
        await pilot.press("enter")
        await until(pilot, lambda: evaluator.asked)
        wanted = EvaluationRequest(id=1, model=run.id, data="my data:validation", data_of="bundled", limit=4)
        assert evaluator.asked == [wanted]
        better = [msgspec.structs.replace(each, answer=each.truth, score=1.0) for each in results]
        keep(run.id, better, source=one.source, split=one.split, limit=one.limit)
        evaluator.say(state=HelperState.READY)
        await until(pilot, lambda: "McNemar p = 1" in shown(app))
        assert "+25.00" in shown(app) and f"only {run.id} 1" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.current_mode == "ask" and "image-1.png · the image" in shown(app))


async def test_an_evaluation_that_is_not_kept_is_not_made_again_and_again(
    app: LooptopApp, evaluator: QuickEvaluator, tmp_path: Path
) -> None:
    make_run()
    keep("bundled", results_on(tmp_path))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "75.00 %" in shown(app))
        await pilot.press("c")
        await until(pilot, lambda: "not evaluated on these questions yet" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: evaluator.asked)
        evaluator.say(state=HelperState.READY, notes=("the evaluation could not be kept",))
        await until(pilot, lambda: "the evaluation could not be kept" in shown(app))
        await pilot.pause(0.2)
        assert len(evaluator.asked) == 1


async def test_the_mouse_turns_pages_and_opens_a_cell(app: LooptopApp, tmp_path: Path) -> None:
    keep("bundled", results_on(tmp_path))
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot)
        await until(pilot, lambda: "75.00 %" in shown(app))
        await pilot.click(PageLine, offset=(shown(app).splitlines()[3].index("confusion"), 0))
        grid = screen.query_one(ConfusionGrid)
        await until(pilot, lambda: grid.display and "[1]" in shown(app))
        lines = shown(app).splitlines()
        row = next(number for number, line in enumerate(lines) if line.startswith(" blue"))
        await pilot.click(offset=(lines[row].rindex("1"), row), times=2)
        await until(pilot, lambda: app.current_mode == "ask" and "blue → blue" in shown(app))
        await until(pilot, lambda: "image-2.png · the image" in shown(app))


async def test_train_and_runs_open_the_evaluation_of_a_run(answers: QuickAnswers, evaluator: QuickEvaluator) -> None:
    run = make_run()
    app = LooptopApp(make_process=lambda: answers, make_evaluator=lambda: evaluator, attach=run)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.current_mode == "train" and run.id in shown(app))
        await opened(pilot)
        await until(pilot, lambda: f" {run.id}\n" in shown(app) and "has not been evaluated yet" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.current_mode == "train")
        await pilot.press("4")
        await until(pilot, lambda: app.current_mode == "runs" and run.id in shown(app))
        await opened(pilot, "v")
        await until(pilot, lambda: f" {run.id}\n" in shown(app))


async def test_text_from_outside_does_not_act(app: LooptopApp, tmp_path: Path) -> None:
    hostile = "[/b]\x1b[2J[@click=app.quit]x"
    results = [
        msgspec.structs.replace(each, question=hostile, answer=hostile, truth=hostile, question_type=hostile)
        for each in results_on(tmp_path)
    ]
    keep("bundled", results, source=hostile)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "accuracy" in shown(app))
        for _ in range(6):
            await pilot.press("]")
            await pilot.pause()
            assert "\x1b" not in shown(app)
        await pilot.press("]", "]", "enter")
        await until(pilot, lambda: app.current_mode == "ask")


async def test_every_page_fits_the_terminal(app: LooptopApp, tmp_path: Path) -> None:
    keep("bundled", results_on(tmp_path))
    async with app.run_test(size=(200, 60)) as pilot:
        await opened(pilot)
        for size in ((200, 60), (80, 24), (40, 12)):
            await resize(pilot, *size)
            await until(pilot, lambda: "75.00 %" in shown(app))
            for words in ("confidence", "[1]", "question", "no wrong answer", "another model", "accuracy"):
                await pilot.press("tab")
                await until(pilot, functools.partial(shows, app, words))
                assert max(map(cell_len, shown(app).splitlines())) <= size[0]


@given(st.floats(0, 1), st.integers(2, 80))
def test_an_interval_is_drawn_in_its_cells(value: float, width: int) -> None:
    scores = [1.0] * round(10 * value) + [0.0] * (10 - round(10 * value))
    drawn = interval_drawing(clustered_mean(scores, list(range(10))), width)
    assert len(drawn) == width and drawn.count("●") == 1
    assert drawn.index("●") == round(sum(scores) / 10 * (width - 1))
    assert interval_drawing(None, width) == "·" * width


@given(st.integers(0, 120), st.integers(0, 60), st.lists(st.floats(0, 1), max_size=20))
def test_the_reliability_chart_is_as_large_as_its_room(width: int, height: int, confidences: list[float]) -> None:
    bins = reliability_bins([result(number, confidence=each) for number, each in enumerate(confidences)])
    lines = reliability_drawing(bins, 14, width, height).plain.split("\n")
    assert lines == [""] or (len(lines) == height and max(map(cell_len, lines)) <= width)
    filled = sum(one.accuracy is not None for one in bins)
    marks = sum(line.count("●") + line.count("◆") for line in lines)
    assert lines == [""] or (marks > 0) == (filled > 0)


async def test_a_wide_confusion_table_scrolls_with_its_cursor(app: LooptopApp) -> None:
    answers = [f"answer-{number:02}" for number in range(8)]
    results = [result(number, answer, answer) for number, answer in enumerate(answers)]
    keep("bundled", results)
    async with app.run_test(size=(50, 14)) as pilot:
        screen = await opened(pilot)
        await until(pilot, lambda: "100.00 %" in shown(app))
        await pilot.press("]", "]")
        await until(pilot, lambda: "answer-00" in shown(app) and "[1]" in shown(app))
        grid = screen.query_one(ConfusionGrid)
        titles = 4
        assert shown(app).splitlines()[titles].endswith(MORE_COLUMNS)
        await pilot.press(*["right"] * 7, *["down"] * 7)
        await until(pilot, lambda: grid.cell == ("answer-07", "answer-07"))
        await until(pilot, lambda: "[1]" in shown(app) and "answered: answer-07" in shown(app))
        assert not shown(app).splitlines()[titles].endswith(MORE_COLUMNS)
        await resize(pilot, 40, 14)
        await until(pilot, lambda: "[1]" in shown(app))
