"""Runs beside others in the app: what else trains is said, a new run can be queued, and a finished one prolonged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from looptop.engine.config import RunConfig, preset
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.runs.folder import AFTER_FACT, RunFolder, RunLock
from looptop.engine.startup import host
from looptop.tui.forms import launcher
from looptop.tui.runs.screen import RunsScreen
from looptop.tui.screens.watch import RUNS_LOAD
from looptop.tui.train.run_view import RunView
from looptop.tui.train.screen import TrainScreen
from looptop.tui.widgets.field import Field
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.factories.vqa_runs import make_run
from tests.tui.conftest import shown, until
from tests.tui.form_helpers import form_of

LEFT_ON = "train"
SIZE = (120, 40)


async def go(pilot: Any) -> TrainScreen:
    await pilot.press("alt+2")
    await until(pilot, lambda: isinstance(pilot.app.screen, TrainScreen) and form_of(pilot.app).table.count)
    screen = pilot.app.screen
    assert isinstance(screen, TrainScreen)
    return screen


def queued(after: RunFolder) -> RunFolder:
    run = RunFolder.create("vqa", preset("tiny"))
    writer = JournalWriter(run.db)
    writer.facts(**{AFTER_FACT: after.id})
    writer.state(RunState.QUEUED, f"waits for {after.id} to end")
    writer.close()
    return run


async def test_the_form_says_what_else_trains_and_queues(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str | None] = []

    def launch(config: RunConfig, *, after: str | None = None) -> RunFolder:
        started.append(after)
        return make_run(state=RunState.FINISHED)

    monkeypatch.setattr(host, "launch", launch)
    first = make_run(state=None)
    second = queued(first)
    app = make_app(answers)
    with RunLock(first.lock, first.id), RunLock(second.lock, second.id):
        async with app.run_test(size=SIZE) as pilot:
            screen = await go(pilot)
            view = screen.query_one(RunView)
            await until(pilot, lambda: view.display and view.snapshot is not None)
            assert view.snapshot is not None and view.snapshot.id == first.id, "the one that trains is shown"
            screen.attach(second)
            await until(pilot, lambda: f"waits for {first.id} to end" in shown(app))
            await pilot.press("n")
            await until(pilot, lambda: form_of(app).display and "… queued" in shown(app))
            await pilot.press("ctrl+s")
            await until(pilot, lambda: f"it trains once {second.id} has ended" in shown(app))
            await pilot.press("escape")
            await until(pilot, lambda: form_of(app).table.has_focus and not started)
            await pilot.press("ctrl+s")
            await until(pilot, lambda: "Other runs are live" in shown(app))
            await pilot.press("q")
            await until(pilot, lambda: started == [second.id] and "✓ finished" in shown(app))
            await pilot.press("n")
            await until(pilot, lambda: form_of(app).display)
            await pilot.press("ctrl+s")
            await until(pilot, lambda: "Other runs are live" in shown(app))
            await pilot.press("s")
            await until(pilot, lambda: started == [second.id, None])
            await pilot.press("alt+4")
            await until(pilot, lambda: isinstance(app.screen, RunsScreen) and f"waits for {first.id}" in shown(app))


async def test_a_finished_run_is_prolonged(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    asked: list[Sequence[str]] = []

    def relaunch(run_id: str, *, settings: Sequence[str] = ()) -> RunFolder:
        asked.append(settings)
        return run

    monkeypatch.setattr(host, "relaunch", relaunch)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot)
        screen.attach(run)
        view = screen.query_one(RunView)
        await until(pilot, lambda: view.snapshot is not None and view.snapshot.state is RunState.FINISHED)
        await pilot.press("r")
        await until(pilot, lambda: "finished after 10 epochs: how many in all?" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        await pilot.press("r")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        field = app.screen.query_one(Field)
        await until(pilot, lambda: field.selected_text == "10")
        await pilot.press("2", "5", "enter")
        await until(pilot, lambda: asked == [["num_train_epochs=25"]])


async def test_the_runs_below_the_form_are_read_once_when_it_opens_and_then_at_a_limited_load(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "RUNS_INTERVAL", 3600.0)
    make_run(state=RunState.FINISHED)
    app = make_app(answers)
    readings: list[object] = []
    read = app.summaries.all
    monkeypatch.setattr(app.summaries, "all", lambda: (readings.append(None), read())[1])
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot)
        loop = screen._launcher._list_loop
        await until(pilot, lambda: "vqa-1" in shown(app))
        assert len(readings) == 1
        assert loop._most_load == RUNS_LOAD
