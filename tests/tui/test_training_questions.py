"""Training questions on the screen: sorted, filtered, seen with their images, edited while their run is paused."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.widget import Widget
from textual.widgets import Input

import looptop.engine as looptop
from looptop.engine.config import RunConfig
from looptop.engine.home import READ_ONLY
from looptop.engine.runs.context import RunContext
from looptop.engine.runs.folder import RunFolder, RunLock, RunState
from looptop.engine.startup import host
from looptop.engine.vqa.curation.edits import Edits, record_edit
from looptop.engine.vqa.curation.journal import CurationJournal, write_losses, write_questions
from looptop.tui.app import READ_ONLY_NOTICE, LooptopApp
from looptop.tui.plots.sparkline import LEVELS, MISSING, sparkline_of_means
from looptop.tui.train.questions_page import QuestionsPage
from looptop.tui.widgets.picture import Picture
from looptop.tui.widgets.table import Table
from tests.factories import runs
from tests.factories.apps import make_app
from tests.factories.curated_runs import add_epoch, curated_run
from tests.factories.quick_answers import QuickAnswers
from tests.factories.vqa_runs import make_run
from tests.tui.conftest import notices, resize, shown, until

SIZE = (120, 40)
EMPTY = ("ctrl+a", "ctrl+k")
"""Keys that empty a field."""


async def opened(pilot: Any) -> QuestionsPage:
    """Opens the page from the view of the run."""
    app = pilot.app
    await until(pilot, lambda: "step 40" in shown(app) or "step 1" in shown(app) or "preparing" in shown(app))
    await pilot.press("t")
    await until(pilot, lambda: isinstance(app.screen, QuestionsPage) and "reading…" not in shown(app))
    assert isinstance(app.screen, QuestionsPage)
    return app.screen


def app_on(run: RunFolder, answers: QuickAnswers) -> LooptopApp:
    return make_app(answers, attach=run)


def order(app: LooptopApp) -> list[str]:
    """The numbers of the shapes in the rows' questions, from above."""
    lines = [line for line in shown(app).splitlines() if line.count("shape") and not line.rstrip(" │").endswith("?")]
    return [line.partition("shape ")[2][0] for line in lines]


def under_cursor(app: LooptopApp) -> str:
    """The id of the question that the panel shows."""
    return shown(app).partition(".png · ")[2][:2]


async def test_the_hardest_come_first_with_their_images(answers: QuickAnswers, tmp_path: Path) -> None:
    app = app_on(curated_run(tmp_path), answers)
    async with app.run_test(size=(160, 40)) as pilot:
        page = await opened(pilot)
        assert order(app) == ["2", "1", "0", "3", "4"]
        picture = page.query_one("#question-picture", Picture)
        await until(pilot, lambda: picture.source is not None and under_cursor(app) == "q2")
        assert picture.source is not None and picture.source.part((0, 0, 20, 20), (1, 1)).getpixel((0, 0)) == (
            0,
            0,
            255,
        )
        text = shown(app)
        assert "what colour is shape 2?" in text and "label  pink" in text and "sure 5.0% → 1.8%" in text
        assert "5 questions · 2 epochs" in text and "edits apply once the run is resumed" in text
        assert "space pause" not in text, "a finished run cannot be paused"
        await pilot.press("end")
        await until(pilot, lambda: "no epoch has trained on it yet" in shown(app))
        (tmp_path / "3-teal.png").unlink()
        await pilot.press("up")
        await until(pilot, lambda: picture.source is None and "3-teal.png" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, QuestionsPage))


async def test_sorting_and_filtering_keep_the_question_under_the_cursor(answers: QuickAnswers, tmp_path: Path) -> None:
    app = app_on(curated_run(tmp_path), answers)
    async with app.run_test(size=(160, 40)) as pilot:
        page = await opened(pilot)
        await pilot.press("down")
        await until(pilot, lambda: under_cursor(app) == "q1")
        await pilot.press("s")
        await until(pilot, lambda: "sure▲" in shown(app))
        await pilot.press("s")
        await until(pilot, lambda: "vary▼" in shown(app) and order(app) == ["0", "1", "2", "3", "4"])
        await pilot.press("S")
        await until(pilot, lambda: order(app) == ["3", "2", "1", "0", "4"])
        assert under_cursor(app) == "q1"
        await pilot.press("s", "s", "s")
        await until(pilot, lambda: "question▲" in shown(app) and order(app) == ["0", "1", "2", "3", "4"])
        await pilot.press("slash")
        field = page.query_one("#questions-filter", Input)
        assert field.has_focus
        field.value = "loss<0.7 -teal"
        await until(pilot, lambda: order(app) == ["0", "1"] and "2 shown" in shown(app))
        field.value = "loss<"
        await until(pilot, lambda: "ends too early" in shown(app))
        field.value = "nothing at all"
        await until(pilot, lambda: "no training question matches" in shown(app))
        field.value = ""
        await until(pilot, lambda: len(order(app)) == 5)
        await pilot.press("enter")
        assert page.query_one(Table).has_focus


async def test_a_run_that_is_not_live_is_edited_at_once(answers: QuickAnswers, tmp_path: Path) -> None:
    run = curated_run(tmp_path)
    app = app_on(run, answers)
    journal = CurationJournal(run.db)
    async with app.run_test(size=(160, 40)) as pilot:
        await opened(pilot)
        await pilot.press("u")
        await until(pilot, lambda: any("nothing to undo" in each for each in notices(app)))
        await pilot.press("enter", *EMPTY, *"blue", "enter")
        await until(pilot, lambda: "pink → blue" in shown(app) and "1 with another answer" in shown(app))
        await pilot.press("down", "x")
        await until(pilot, lambda: "left out of training" in shown(app) and "1 left out" in shown(app))
        await pilot.press("x")
        await until(pilot, lambda: any("already left out" in each for each in notices(app)))
        await pilot.press("u")
        await until(pilot, lambda: "0 left out" in shown(app))
        await pilot.press("up", "enter", *EMPTY, *"pink", "enter")  # as in the data
        await until(pilot, lambda: "with another answer" not in shown(app))
        await pilot.press("enter", "escape")
    assert [(edit.row, edit.kind, edit.answer, edit.by) for edit in journal.edits()] == [
        (2, "relabel", "blue", "app"),
        (1, "drop", "", "app"),
        (1, "restore", "", "app"),
        (2, "restore", "", "app"),
    ]


async def test_an_app_that_only_looks_edits_nothing(
    answers: QuickAnswers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = curated_run(tmp_path)
    monkeypatch.setenv(READ_ONLY, "1")
    app = app_on(run, answers)
    async with app.run_test(size=SIZE) as pilot:
        page = await opened(pilot)
        assert "leave out" not in shown(app).splitlines()[-1]
        for key in ("enter", "x", "u"):
            app.clear_notifications()
            await pilot.press(key)
            await until(pilot, lambda: notices(app) == [READ_ONLY_NOTICE])
        app.clear_notifications()
        page.query_one(Table).action_choose()  # a double click
        await until(pilot, lambda: notices(app) == [READ_ONLY_NOTICE])
    assert CurationJournal(run.db).edits() == []


def trains(folder: Path) -> Callable[[RunContext], dict[str, Any]]:
    """Trains nothing, but takes edits of five training questions."""
    example = CurationJournal(curated_run(folder).db)

    def train(context: RunContext) -> dict[str, Any]:
        write_questions(context.journal, example.questions())
        for epoch in example.losses():
            write_losses(context.journal, epoch.epoch, epoch.step, epoch.losses)
        edits = Edits(CurationJournal(context.folder.db), context.journal, 5, lambda: 1, lambda: context.gate.is_paused)
        edits.attach_to(context.gate)
        return runs.Steps()(context)

    return train


async def test_a_live_run_is_paused_before_it_is_edited(answers: QuickAnswers, tmp_path: Path) -> None:
    run = looptop.start(runs.config(), trains(tmp_path))
    journal = CurationJournal(run.folder.db)
    app = app_on(run.folder, answers)
    try:
        async with app.run_test(size=(160, 40)) as pilot:
            await until(pilot, lambda: journal.losses() and run.folder.id in shown(app))
            await pilot.press("t")
            await until(pilot, lambda: "space pauses it" in shown(app) and order(app)[:1] == ["2"])
            for key in ("enter", "x", "u"):
                app.clear_notifications()
                await pilot.press(key)
                await until(pilot, lambda: any("pause the run first (space)" in each for each in notices(app)))
            assert isinstance(app.screen, QuestionsPage)
            await pilot.press("space")
            await until(pilot, lambda: "paused: edits apply from the next epoch on" in shown(app))
            await pilot.press("x")
            await until(pilot, lambda: any("from the next epoch on" in each for each in notices(app)))
            await until(pilot, lambda: "1 left out" in shown(app))
            await pilot.press("space")
            await until(pilot, lambda: "space pauses it" in shown(app))
    finally:
        run.stop(checkpoint=False)
        run.wait()
    assert [(edit.row, edit.kind, edit.by) for edit in journal.edits()] == [(2, "drop", "app")]


async def test_a_new_epoch_leaves_the_cursor_on_its_question(answers: QuickAnswers, tmp_path: Path) -> None:
    run = curated_run(tmp_path, state=None)
    with RunLock(run.lock, run.id):
        app = app_on(run, answers)
        async with app.run_test(size=(160, 40)) as pilot:
            page = await opened(pilot)
            await pilot.press("down", "down")
            await until(pilot, lambda: under_cursor(app) == "q0")
            add_epoch(run, 3, (5.0, 0.1, 0.2, 0.3, 0.4))
            await until(pilot, lambda: order(app) == ["0", "4", "3", "2", "1"])
            assert under_cursor(app) == "q0" and page.query_one(Table).cursor == 0
            assert "3 epochs" in shown(app)


async def test_a_run_without_questions_says_why(answers: QuickAnswers) -> None:
    app = app_on(make_run(40), answers)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert "has not recorded its training" in shown(app)
        assert "has not started" in shown(app), "the sentence is wrapped, not cut"
        await pilot.press("enter", "x", "u", "s")
        await pilot.pause()


async def test_a_damaged_journal_is_one_sentence(answers: QuickAnswers, tmp_path: Path) -> None:
    run = curated_run(tmp_path)
    with contextlib.closing(sqlite3.connect(run.db)) as connection, connection:
        connection.execute("UPDATE question_losses SET losses = x'0000' WHERE epoch = 2")
    app = app_on(run, answers)
    async with app.run_test(size=(160, 40)) as pilot:
        page = await opened(pilot)
        await until(
            pilot,
            lambda: "its losses cannot be read" in shown(app) and "the training questions cannot be read" in shown(app),
        )
        await pilot.press("enter", "x", "u")
        field = page.query_one("#questions-filter", Input)
        field.value = "loss<"
        await until(pilot, lambda: "ends too early" in shown(app) and "its losses cannot be read" not in shown(app))
        field.value = ""
        await until(pilot, lambda: "its losses cannot be read" in shown(app))
        field.value = "loss<"
        add_epoch(run, 2, (0.1, 0.2, 0.3, 0.4, 0.5))
        await until(pilot, lambda: order(app) == ["4", "3", "2", "1", "0"] and "ends too early" in shown(app))
        field.value = ""
        await until(pilot, lambda: "ends too early" not in shown(app) and "cannot be read" not in shown(app))


async def test_it_fits_into_every_terminal(answers: QuickAnswers, tmp_path: Path) -> None:
    run = curated_run(tmp_path, losses=[[0.5, 3.25, 12.345, 0.0001, math.nan]] * 30)
    record_edit(run, 2, "relabel", "blue")
    app = app_on(run, answers)
    async with app.run_test(size=(40, 12)) as pilot:
        page = await opened(pilot)
        for size in ((40, 12), (79, 24), (80, 24), (120, 40), (200, 60)):
            await resize(pilot, *size)
            await until(pilot, lambda: "12.35" in shown(app) or "12.34" in shown(app))
            assert all(widget.region.right <= size[0] for widget in page.walk_children(Widget) if widget.region)
            assert page.query_one("#question-panel").display == (size[0] >= 80)
            for column in ("question", "label", "loss", *(("sure", "vary") if size[0] >= 79 else ())):
                assert column in shown(app).splitlines()[2]


@given(st.lists(st.one_of(st.just(math.nan), st.floats(0, 1)), max_size=40), st.integers(1, 12))
def test_a_line_of_bars_has_a_bar_for_each_epoch_that_fits(values: list[float], width: int) -> None:
    drawn = sparkline_of_means(values, width)
    assert len(drawn) == min(len(values), width)
    if len(values) <= width:
        for char, value in zip(drawn, values, strict=True):
            if math.isnan(value):
                assert char == MISSING
            else:
                assert abs((LEVELS.index(char) + 0.5) / len(LEVELS) - value) <= 0.5 / len(LEVELS) + 1e-9


async def test_a_run_made_like_an_edited_one_takes_the_edits_over(
    answers: QuickAnswers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = curated_run(tmp_path)
    record_edit(run, 2, "relabel", "blue")
    record_edit(run, 1, "drop")
    started: list[str | None] = []

    def launch(_config: RunConfig, *, like: str | None = None) -> RunFolder:
        started.append(like)
        return make_run(state=RunState.FINISHED)

    monkeypatch.setattr(host, "launch", launch)
    app = app_on(run, answers)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "step 40" in shown(app))
        app.duplicate(run)
        await until(pilot, lambda: "New run, like vqa-1, with 2 edits of its questions" in shown(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: started and "vqa-2" in shown(app))
        await pilot.press("n")
        await until(pilot, lambda: "New run" in shown(app) and "like vqa-1" not in shown(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(started) == 2)
    assert started == [str(run.path), None], "the next run is like no other"
