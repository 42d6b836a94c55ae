from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import OptionList, Static

from looptop.engine.config import RunConfig, override, preset
from looptop.engine.errors import LooptopError
from looptop.engine.journal.causes import Hold
from looptop.engine.journal.reader import AnswerSample, JournalWriter
from looptop.engine.runs import control
from looptop.engine.runs.folder import RunFolder, RunLock, RunState
from looptop.engine.startup import host
from looptop.tui.forms.new_run import NewRunForm
from looptop.tui.ppo.screen import PpoScreen
from looptop.tui.train.run_view import RunView
from looptop.tui.train.screen import TrainScreen
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.factories.vqa_runs import make_run
from tests.tui.conftest import shown, until
from tests.tui.form_helpers import form_of, put, under_cursor, wrong

LEFT_ON = "train"
SIZE = (120, 40)


async def go(pilot: Any) -> TrainScreen:
    await pilot.press("alt+2")
    await until(pilot, lambda: isinstance(pilot.app.screen, TrainScreen))
    screen = pilot.app.screen
    assert isinstance(screen, TrainScreen)
    return screen


async def watch(pilot: Any, run: RunFolder) -> RunView:
    screen = await go(pilot)
    await until(pilot, lambda: f"{run.id}" in shown(pilot.app))
    screen.attach(run)
    view = screen.query_one(RunView)
    await until(pilot, lambda: view.snapshot is not None)
    return view


@pytest.mark.parametrize("kind", ["vqa", "ppo"])
async def test_what_is_missing_is_reported_at_its_setting(answers: QuickAnswers, kind: str, tmp_path: Path) -> None:
    key, value, message = {
        "vqa": ("data.source", str(tmp_path), "holds no table"),
        "ppo": ("rewards.grammar.model", "abc", "there is no model 'abc'"),
    }[kind]
    app = make_app(answers)
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.press("alt+2" if kind == "vqa" else "alt+3")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen if kind == "vqa" else PpoScreen))
        await put(pilot, key, value)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: message in wrong(app, key))
        await until(pilot, lambda: under_cursor(app) == key and message in " ".join(shown(app).split()))
        await pilot.press("backspace")
        await until(pilot, lambda: not wrong(app, key))
    assert RunFolder.all() == []


async def test_a_run_like_an_old_one_may_keep_settings_that_do_nothing(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[RunConfig] = []
    monkeypatch.setattr(host, "launch", lambda config: started.append(config) or make_run(state=RunState.FINISHED))
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot)
        config = override(preset("tiny"), ["eval_steps=20"])
        await until(pilot, lambda: form_of(app).table.count)
        screen.query_one(NewRunForm).fill("vqa-1", config)
        await until(pilot, lambda: "! training.eval_steps has no effect" in shown(app))
        assert not wrong(app, "training.eval_steps")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: started)
    assert started == [config]


async def test_an_empty_answer_of_an_evaluation_is_drawn_as_empty(answers: QuickAnswers) -> None:
    sample = AnswerSample("1", "1.png", "how many?", "0", "", 0.31, 0.0)
    run = make_run(extra=lambda writer: writer.answer_samples(120, [sample]))
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await watch(pilot, run)
        await until(pilot, lambda: "how many?" in shown(app) and "(empty)" in shown(app))


async def test_starting_a_run_watches_it(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[RunConfig] = []

    def launch(config: RunConfig) -> RunFolder:
        started.append(config)
        return make_run(state=RunState.FINISHED)

    monkeypatch.setattr(host, "launch", launch)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot)
        await put(pilot, "training.learning_rate", "3e-4")
        await put(pilot, "training.seed", "7")
        await put(pilot, "training.max_steps", "20")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "✓ finished" in shown(app))
    assert started[0].training.learning_rate == 3e-4
    assert (started[0].training.seed, started[0].training.max_steps) == (7, 20)
    assert [run.id for run in app.started_here] == ["vqa-1"]


async def test_a_run_that_does_not_start_says_why(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(_config: RunConfig) -> RunFolder:
        raise LooptopError("the disk [/x] is full")

    monkeypatch.setattr(host, "launch", launch)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot)
        await until(pilot, lambda: form_of(app).table.count)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "✗ the disk [/x] is full" in shown(app))
        monkeypatch.setattr(host, "launch", lambda _config: make_run(state=RunState.FINISHED))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "✓ finished" in shown(app))
        await pilot.press("n")
        await until(pilot, lambda: "New run" in shown(app))
        assert "is full" not in str(screen.query_one("#form-message", Static).content)
        assert "starting" not in str(screen.query_one("#form-message", Static).content)


async def test_a_run_is_shown_with_losses_accuracy_figures_answers_and_events(answers: QuickAnswers) -> None:
    run = make_run()
    app = make_app(answers)
    async with app.run_test(size=(160, 48)) as pilot:
        await watch(pilot, run)
        await until(pilot, lambda: "┤" in shown(app) and "what is it at 120?" in shown(app))
        text = shown(app)
        assert "✓ finished" in text
        assert "step 120 of 200" in text and " 60 %" in text
        assert any(char in text for char in "⠉⠒⠤⣀⡀⠑⢄") and "•" in text
        assert "train loss" in text and "1,234" in text
        assert "60.00 %" in text
        assert "what is it at 120?" in text
        assert "checkpoint of step 120 written" in text


async def test_answers_of_earlier_evaluations(answers: QuickAnswers) -> None:
    run = make_run()
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await watch(pilot, run)
        await until(pilot, lambda: "what is it at 120?" in shown(app))
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "what is it at 80?" in shown(app))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "what is it at 120?" in shown(app))


async def test_a_live_run_is_opened_and_followed(answers: QuickAnswers) -> None:
    run = RunFolder.create("vqa", preset("tiny"))
    with RunLock(run.lock, run.id):
        writer = JournalWriter(run.db)
        writer.state(RunState.RUNNING)
        writer.facts(total_steps=50)
        writer.metrics(1, {"loss": 3.0, "seconds_left": 65.0})
        writer.flush()
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            await go(pilot)
            await until(pilot, lambda: "▶ running" in shown(app) and "step 1 of 50" in shown(app))
            assert "1 min 5 s left" in shown(app)
            writer.metrics(25, {"loss": 1.0, "seconds_left": 5.0})
            writer.state(RunState.PAUSED, Hold(120))
            writer.flush()
            await until(pilot, lambda: "step 25 of 50" in shown(app) and "⏸ paused" in shown(app))
        writer.close()


async def test_infinity_and_nan_are_shown_and_harm_nothing(answers: QuickAnswers) -> None:
    def odd(writer: JournalWriter) -> None:
        writer.metrics(121, {"loss": math.inf, "grad_norm": math.nan})
        writer.metrics(122, {"loss": math.nan, "eval_loss": math.inf})

    run = make_run(extra=odd)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await watch(pilot, run)
        await until(pilot, lambda: "step 122" in shown(app) and "┤" in shown(app))
        await pilot.press("y", "s", "s")
        await until(pilot, lambda: "┤" in shown(app))


async def test_keys_send_controls(answers: QuickAnswers) -> None:
    run = make_run(state=None)
    with RunLock(run.lock, run.id):
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            await watch(pilot, run)
            assert "x stop" in shown(app).splitlines()[-1]
            await pilot.press("space", "c", "x")
            await until(pilot, lambda: "Stop the run" in shown(app))
            await pilot.press("enter")
            await until(pilot, lambda: len(control.waiting_files(run)) == 3)
        taken = control.take(run)
    assert [(each.kind, each.by, each.checkpoint) for each in taken] == [
        ("pause", "app", True),
        ("checkpoint", "app", True),
        ("stop", "app", True),
    ]


async def test_a_control_for_a_run_that_is_over_says_so(answers: QuickAnswers) -> None:
    run = make_run()
    app = make_app(answers)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await watch(pilot, run)
        await until(pilot, lambda: "r resume" in shown(app).splitlines()[-1])
        assert "x stop" not in shown(app).splitlines()[-1], "keys that would do nothing are left out"
        await pilot.press("space")
        await until(pilot, lambda: "vqa-1 is not running, it is finished" in " ".join(shown(app).split()))


async def test_an_interrupted_run_can_be_resumed(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(state=None)
    resumed: list[str] = []

    def relaunch(run_id: str) -> RunFolder:
        resumed.append(run_id)
        return run

    monkeypatch.setattr(host, "relaunch", relaunch)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await watch(pilot, run)
        await until(pilot, lambda: "✗ interrupted" in shown(app))
        await pilot.press("r")
        await until(pilot, lambda: resumed == [str(run.path)])


async def test_a_run_that_cannot_be_read_is_one_sentence(answers: QuickAnswers) -> None:
    run = make_run()
    import sqlite3

    with sqlite3.connect(run.db) as connection:
        connection.execute("PRAGMA user_version = 999")
    app = make_app(answers)
    async with app.run_test(size=(160, 48)) as pilot:
        screen = await go(pilot)
        screen.attach(run)
        await until(pilot, lambda: "newer" in shown(app))


async def test_any_run_can_be_opened_from_the_picker(answers: QuickAnswers) -> None:
    make_run()
    make_run(state=RunState.STOPPED)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        screen = await go(pilot)
        await until(pilot, lambda: "vqa-1" in shown(app))
        screen.query_one("#runs", OptionList).focus()
        await pilot.press("o")
        await until(pilot, lambda: "Choose a run" in shown(app))
        await pilot.press(*"finished", "enter")
        await until(pilot, lambda: "vqa-1  ✓ finished" in shown(app))


async def test_the_log_is_shown_letter_by_letter(answers: QuickAnswers) -> None:
    run = make_run()
    run.log.write_text("one\n[/b] two \x1b[2J\n 10%\r 20%\r 30%\n")
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await watch(pilot, run)
        await pilot.press("l")
        await until(pilot, lambda: "[/b] two ␛[2J" in shown(app))
        assert " 30%" in shown(app) and " 10%" not in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))


@pytest.mark.parametrize(
    ("key", "expected"),
    [("l", "goes on. Watch it"), ("s", "stops with a checkpoint"), ("escape", None)],
)
async def test_quitting_with_a_run_going_asks(answers: QuickAnswers, key: str, expected: str | None) -> None:
    run = make_run(state=None)
    with RunLock(run.lock, run.id):
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            app.started_here.append(run)
            await pilot.press("escape", "q")
            await until(pilot, lambda: "goes on without this screen" in shown(app))
            await pilot.press(key)
            await until(pilot, lambda: app._exit or (expected is None and len(app.screen_stack) == 1))
            assert app._exit == (expected is not None)
        if expected is not None:
            assert expected in (app.return_value or "") and run.id in (app.return_value or "")
        assert [each.kind for each in control.take(run)] == (["stop"] if key == "s" else [])


async def test_whoever_leaves_hears_of_live_runs_that_were_started_elsewhere(answers: QuickAnswers) -> None:
    here, other, over = make_run(state=None), make_run(state=None), make_run()
    with RunLock(here.lock, here.id), RunLock(other.lock, other.id):
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            app.started_here.append(here)
            await pilot.press("escape", "q")
            await until(pilot, lambda: f"Started elsewhere: {other.id} goes on." in shown(app))
            await pilot.press("s")
            await until(pilot, lambda: app._exit)
        message = app.return_value or ""
        assert (
            f"{here.id} stops with a checkpoint" in message
            and f"{other.id} goes on" in message
            and over.id not in message
        )
        assert [len(control.take(run)) for run in (here, other)] == [1, 0]
        alone = make_app(answers)
        async with alone.run_test(size=SIZE) as pilot:
            await pilot.press("escape", "q")
            await until(pilot, lambda: alone._exit)
        assert f"{other.id} goes on" in (alone.return_value or "")


async def test_whoever_leaves_hears_that_a_paused_run_stays_paused(answers: QuickAnswers) -> None:
    here, other = make_run(state=RunState.PAUSED), make_run(state=RunState.PAUSED)
    with RunLock(here.lock, here.id), RunLock(other.lock, other.id):
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            app.started_here.append(here)
            await pilot.press("escape", "q")
            await until(pilot, lambda: f"{here.id} stays paused without this screen" in shown(app))
            await until(pilot, lambda: f"Started elsewhere: {other.id} stays" in shown(app))
            await pilot.press("l")
            await until(pilot, lambda: app._exit)
        message = app.return_value or ""
        assert "goes on" not in message and f"looptop continue {other.id}" in message


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_form_and_a_run_fit_at_any_size(answers: QuickAnswers, size: tuple[int, int]) -> None:
    run = make_run()
    app = make_app(answers)
    async with app.run_test(size=size) as pilot:
        screen = await go(pilot)
        await until(pilot, lambda: "easy-vqa" in shown(app) and "Runs" in shown(app))
        screen.attach(run)
        fits: Callable[[], bool] = lambda: "┤" in shown(app) and "what is" in shown(app)  # noqa: E731
        await until(pilot, fits)
        assert "samples/s" in shown(app)
        app.action_theme()
        await until(pilot, fits)
