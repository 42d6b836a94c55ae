"""The evaluations of a run over time: cards with images, accuracy by type, confusions, and the way through time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.cells import cell_len

from looptop.engine.config import override, preset
from looptop.engine.journal.reader import AnswerSample, JournalWriter
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.engine.vqa.breakdown import Outcome, breakdown_of, write_breakdown
from looptop.tui.app import LooptopApp
from looptop.tui.evaluation.sample_cards import SampleCards, wrapped
from looptop.tui.evaluation.timeline import TimelineScreen
from looptop.tui.evaluation.timeline_reader import TimelineReader
from looptop.tui.plots.sparkline import cell_of, sparkline_of_latest
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.tui.conftest import resize, shown, until

SIZE = (120, 40)
QUESTIONS = (
    "what is the colour of the shape that covers most of this image?",
    "is there a circle?",
    "what shape is in the image?",
)
TRUTHS = ("red", "no", "circle")
ANSWERS = {0: ("no", "no", "no"), 20: ("blue", "no", "no"), 40: ("red", "yes", "no")}
"""What was answered at each evaluation."""


def evaluate(writer: JournalWriter, folder: Path, step: int, answers: Sequence[str], *, old: bool = False) -> None:
    """Journals an evaluation as a run does, or as an older looptop did."""
    samples, outcomes = [], []
    for number, (question, truth, answer) in enumerate(zip(QUESTIONS, TRUTHS, answers, strict=True)):
        right = float(answer == truth)
        image = str(folder / f"image-{number}.png")
        samples.append(AnswerSample(str(number), image, question, truth, answer, 0.625, right))
        kind = ("yes/no", "is") if truth == "no" else ("other", "what")
        outcomes.append(Outcome(truth, answer, *kind, right))
    writer.answer_samples(step, samples)
    if not old:
        write_breakdown(writer, step, breakdown_of(outcomes))
    accuracy = sum(one.score for one in outcomes) / len(outcomes)
    writer.metrics(step, {"eval_accuracy": accuracy, "eval_loss": 1.0, "epoch": step / 20, "loss": 1.0})


def make_run(folder: Path, *, old: bool = False, source: str = "easy-vqa") -> RunFolder:
    """A run of three evaluations, with the images of its samples; the last one's image is missing."""
    for number, colour in enumerate(("red", "blue")):
        Image.new("RGB", (20, 20), colour).save(folder / f"image-{number}.png")
    run = RunFolder.create("vqa", override(preset("tiny"), [f"data.source={source}"]))
    writer = JournalWriter(run.db)
    writer.state(RunState.RUNNING)
    for step, answers in ANSWERS.items():
        evaluate(writer, folder, step, answers, old=old)
    writer.state(RunState.FINISHED)
    assert writer.close()
    return run


async def opened(pilot: Any, app: LooptopApp) -> TimelineScreen:
    await until(pilot, lambda: "Sample answers at step" in shown(app))
    await pilot.press("w")
    await until(pilot, lambda: "evaluation " in shown(app) and isinstance(app.screen, TimelineScreen))
    screen = app.screen
    assert isinstance(screen, TimelineScreen)
    return screen


async def test_the_same_questions_go_from_wrong_to_right(answers: QuickAnswers, tmp_path: Path) -> None:
    app = make_app(answers, attach=make_run(tmp_path))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: "evaluation 3 of 3 · step 40, epoch 2.0 · 33.33 % right (+0.00)" in shown(app))
        await until(pilot, lambda: "▄▄▄▄" in shown(app) and "✗ no image" in shown(app))
        assert "✗✗✓" in shown(app) and "✓✓✗" in shown(app) and "✗✗✗" in shown(app)
        assert "✓ 62.5% red" in shown(app) and "before  blue" in shown(app)
        assert "right at 1 of 3 evaluations; right since step 40" in " ".join(shown(app).split())
        await pilot.press("[")
        await until(pilot, lambda: "evaluation 2 of 3 · step 20" in shown(app))
        assert "✗ 62.5% blue" in shown(app) and "before  no" in shown(app)
        assert "1 later: ] goes to the next, end to the newest" in shown(app)
        await pilot.press("home")
        await until(pilot, lambda: "evaluation 1 of 3 · step 0" in shown(app) and "2 later" in shown(app))
        await pilot.press("[", "]", "]", "[", "[")  # faster than the journal is read
        await until(pilot, lambda: "evaluation 1 of 3 · step 0" in shown(app))
        await pilot.press("end")
        await until(pilot, lambda: "evaluation 3 of 3" in shown(app) and "newest" in shown(app))
        await pilot.press("right", "right")
        await until(pilot, lambda: "3 of 3: right at 0 of 3" in shown(app))
        await until(pilot, lambda: "image-2.png" in "".join(shown(app).splitlines()[-3:-1]))
        await pilot.press("left", "enter")
        await until(pilot, lambda: app.current_mode == "ask" and "samples of vqa-1" in shown(app))
        await until(pilot, lambda: "image-1.png · the image" in shown(app))


async def test_types_and_confusions_at_each_evaluation(answers: QuickAnswers, tmp_path: Path) -> None:
    app = make_app(answers, attach=make_run(tmp_path))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await pilot.press("tab")
        await until(pilot, lambda: "by question type" in shown(app))
        other = next(line for line in shown(app).splitlines() if line.strip().startswith("other"))
        assert other.split() == ["other", "50.00", "%", "+50.00", "▁▁▁▁▁▁▁▁▄▄▄▄", "2"]
        await pilot.press("down")
        await until(pilot, lambda: "yes/no: 0.00 % of 1 question, 100.00 % at the evaluation before" in shown(app))
        await pilot.press("[")
        await until(pilot, lambda: "yes/no: 100.00 % of 1 question" in shown(app))
        await pilot.press("tab", "end")
        await until(pilot, lambda: "[1" in shown(app) and "evaluation 3 of 3" in shown(app))
        await pilot.press("up", "up", "up", "left", "left", "left", "left")
        await until(pilot, lambda: "Right: circle; answered: circle: 0 of 1" in shown(app))
        await pilot.press("down", "right")
        await until(
            pilot,
            lambda: "Right: red; answered: red: 1 of 1 question (100.0 %). 1 more than at step 20." in shown(app),
        )
        assert "[1 ▲1]" in shown(app) and "Enter shows the image." in shown(app)
        await pilot.press("[")
        await until(pilot, lambda: "Right: red; answered: red: 0 of 1" in shown(app))
        await pilot.press("]")
        await until(pilot, lambda: "Right: red; answered: red: 1 of 1" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.current_mode == "ask" and "red → red" in shown(app))


async def test_images_come_to_an_ask_screen_that_was_not_open_before(answers: QuickAnswers, tmp_path: Path) -> None:
    run = make_run(tmp_path, source=str(tmp_path))
    run.model.mkdir()
    (run.model / "config.json").write_text(json.dumps({"model_type": "looptop-vqa"}))
    (run.model / "model.safetensors").write_bytes(b"weights")
    app = make_app(answers, attach=run)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: "✓ 62.5% red" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.current_mode == "ask" and "samples of vqa-1" in shown(app))
        await until(pilot, lambda: "model: vqa-1" in shown(app))
        await until(pilot, lambda: not [one for one in app.workers if one.group == "source" and not one.is_finished])
        assert "samples of vqa-1" in shown(app)


async def test_the_newest_is_followed_until_another_is_chosen(answers: QuickAnswers, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    app = make_app(answers, attach=run)
    writer = JournalWriter(run.db)
    writer.state(RunState.RUNNING)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        evaluate(writer, tmp_path, 60, TRUTHS)
        await until(pilot, lambda: "evaluation 4 of 4 · step 60" in shown(app) and "100.00 % right" in shown(app))
        await pilot.press("[")
        await until(pilot, lambda: "evaluation 3 of 4 · step 40" in shown(app))
        evaluate(writer, tmp_path, 80, TRUTHS)
        await until(pilot, lambda: "evaluation 3 of 5 · step 40" in shown(app) and "2 later" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.current_mode == "train")
    assert writer.close()


async def test_what_was_not_journalled_is_named(answers: QuickAnswers, tmp_path: Path) -> None:
    run = make_run(tmp_path, old=True)
    app = make_app(answers, attach=run)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: "✓ 62.5% red" in shown(app))
        for _ in range(2):
            await pilot.press("tab")
            await until(pilot, lambda: "an older version of looptop wrote it" in shown(app))
        connection = sqlite3.connect(run.db)
        with connection:
            connection.execute("DELETE FROM answer_samples")
            connection.execute("UPDATE changes SET count = count + 1")
        connection.close()
        await pilot.press("tab")
        await until(pilot, lambda: "kept no sample answers" in shown(app))


async def test_a_damaged_journal_is_named(answers: QuickAnswers, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    connection = sqlite3.connect(run.db)
    with connection:
        connection.execute("UPDATE evaluations SET breakdown = '{'")
    connection.close()
    app = make_app(answers, attach=run)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "Sample answers at step" in shown(app))
        await pilot.press("w")
        await until(pilot, lambda: "is damaged: its evaluations cannot be read" in " ".join(shown(app).split()))


async def test_cards_fit_every_terminal(answers: QuickAnswers, tmp_path: Path) -> None:
    app = make_app(answers, attach=make_run(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "vqa-1" in shown(app))
        await pilot.press("w")
        for size in ((80, 24), (200, 60), (40, 12)):
            await resize(pilot, *size)
            await until(pilot, lambda: "evaluation 3 of 3 · step 40" in shown(app) and "▄▄▄▄" in shown(app))
            cards = app.screen.query_one(SampleCards)
            text = "\n".join(line[cards.region.x :] for line in shown(app).splitlines())
            for words in ("what is the", "truth   red", "✓ 62.5% red", "✗✗✓"):
                assert words in text
            await pilot.press("down", "down", "right", "right")
            assert cards.cursor == 2
            cards.cursor = 0


async def test_the_run_view_shows_whole_questions(answers: QuickAnswers, tmp_path: Path) -> None:
    app = make_app(answers, attach=make_run(tmp_path))
    async with app.run_test(size=SIZE) as pilot:

        def words() -> list[str]:
            """The words of the panel in the middle."""
            lines = [line.split("││") for line in shown(app).splitlines()]
            return " ".join(parts[1] for parts in lines if len(parts) == 3).split()

        wanted = QUESTIONS[0].split()
        await until(pilot, lambda: [word for word in words() if word in wanted][: len(wanted)] == wanted)
        await pilot.click("#samples")
        await until(pilot, lambda: isinstance(app.screen, TimelineScreen) and "evaluation 3 of 3" in shown(app))


def test_a_resume_that_makes_an_evaluation_again_is_read_again(home: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    reader = TimelineReader(run)
    first = reader.poll()
    assert reader.poll() is first and first.steps == (0, 20, 40)
    writer = JournalWriter(run.db)
    writer.discard_after(20)
    writer.state(RunState.RUNNING)
    evaluate(writer, tmp_path, 40, TRUTHS)
    assert writer.close()
    again = reader.poll()
    assert again.steps == (0, 20, 40) and again.breakdown != first.breakdown
    assert all(one.correct for one in again.samples) and all(known[40] for known in again.outcomes.values())
    assert reader.poll(20).step == 20 and reader.poll(33).step == 40


@given(st.lists(st.none() | st.floats(allow_nan=False), min_size=1, max_size=60), st.integers(1, 40))
def test_a_sparkline_ends_with_the_last_value_and_marks_the_shown_one(values: list[float | None], width: int) -> None:
    bars = sparkline_of_latest(values, width)
    assert len(bars) == min(width, len(values))
    assert bars[-1] == sparkline_of_latest(values[-1:], 1)
    cells = [cell_of(index, len(values), width) for index in range(len(values))]
    assert cells == sorted(cells) and cells[0] == 0 and cells[-1] == len(bars) - 1
    if len(values) <= width:
        assert cells == list(range(len(values)))


def test_a_sparkline_goes_from_nothing_to_everything() -> None:
    assert sparkline_of_latest([0.0, 0.5, 1.0, None], 4) == "▁▄▇ "


@given(st.text(max_size=300), st.integers(4, 40), st.integers(1, 6))
def test_a_question_is_wrapped_into_its_lines(text: str, width: int, most: int) -> None:
    lines = wrapped(text, width, most)
    assert len(lines) <= most and all(cell_len(line) <= width for line in lines)


def test_a_wrapped_question_is_whole_where_it_fits() -> None:
    assert " ".join(wrapped(QUESTIONS[0], 30, 3)) == QUESTIONS[0]
    assert wrapped(QUESTIONS[0], 30, 2)[1].endswith("…")
