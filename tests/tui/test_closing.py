"""Keys and clicks that come while a screen goes, or where there is no room, end nothing."""

from __future__ import annotations

import inspect
import threading
import time
from typing import Any

import pytest
from textual.content import Content
from textual.events import Click, Key, MouseMove
from textual.widgets import Input, OptionList
from textual.widgets._toast import Toast, ToastRack

from looptop.engine.cli import main as cli
from looptop.engine.runs.folder import RunFolder
from looptop.tui import entry, quitting
from looptop.tui.ask.model_picker import ModelPicker
from looptop.tui.ask.screen import AskScreen
from looptop.tui.background import work
from looptop.tui.plots.chart_data import ChartData, WallData
from looptop.tui.plots.chart_wall import ChartWall
from looptop.tui.plots.curves import FIRST, Curve
from looptop.tui.plots.spec import ChartSpec, Line
from looptop.tui.plots.wall_layout import MinChartSize
from looptop.tui.runs.screen import RunsScreen
from looptop.tui.screens.base import MainScreen, Overlay
from looptop.tui.screens.dialog import Question
from looptop.tui.screens.help import Help
from looptop.tui.screens.palette import Palette
from looptop.tui.screens.picker import Choice, Picker
from looptop.tui.terminal import key_order as typed
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.tui.conftest import until

SIZE = (120, 40)


def click(screen: Any) -> Click:
    return Click(screen, 0, 38, 0, 0, 1, False, False, False, screen_x=0, screen_y=38)


async def test_a_double_click_beside_the_palette_closes_it_once(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        for _ in range(3):
            app.action_command_palette()
            await until(pilot, lambda: app.screen.has_class("--textual-command-palette"))
            palette = app.screen
            for _ in range(3):
                palette.post_message(click(palette))
            await until(pilot, lambda: isinstance(app.screen, AskScreen))
        assert app.is_running


async def palette_results(pilot: Any, command: str) -> OptionList:
    """The palette's list with one command in it."""
    await pilot.press("ctrl+p")
    await until(pilot, lambda: isinstance(pilot.app.screen, Palette))
    pilot.app.screen.query_one(Input).value = command
    options = pilot.app.screen.query_one(OptionList)
    await until(pilot, lambda: options.highlighted == 0 and command in str(options.get_option_at_index(0).prompt))
    return options  # type: ignore[no-any-return]


async def test_a_command_that_is_chosen_twice_runs_once(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(answers)
    done: list[str] = []
    run_action = app.run_action

    async def noted(action: str, *args: Any, **kwargs: Any) -> bool:
        if action not in ("model", "open"):
            return await run_action(action, *args, **kwargs)
        done.append(action)
        return True

    monkeypatch.setattr(app, "run_action", noted)
    async with app.run_test(size=SIZE) as pilot:
        options = await palette_results(pilot, "model (m)")
        options.highlighted = 0
        for _ in range(3):
            options.action_select()
        await until(pilot, lambda: isinstance(app.screen, AskScreen) and done)
        options = await palette_results(pilot, "open (o)")
        palette = app.screen
        options.action_select()
        for _ in range(3):
            palette.post_message(Input.Submitted(palette.query_one(Input), ""))
        await until(pilot, lambda: isinstance(app.screen, AskScreen) and len(done) > 1)
        await pilot.pause()
        assert done == ["model", "open"]


async def test_a_command_is_not_typed_into_the_field_that_has_the_focus(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("a", "x")
        field = app.screen.query_one("#question", Input)
        await until(pilot, lambda: field.value == "x")
        (await palette_results(pilot, "model (m)")).action_select()
        await until(pilot, lambda: isinstance(app.screen, ModelPicker) and app.screen.query("#choices"))
        assert field.value == "x"


async def test_a_key_behind_a_closed_chooser_acts_at_once(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typed, "KEY_TIMEOUT", 3600.0)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        for screen, opener in (("1", "m"), ("1", "o"), ("2", "o")):
            for key, opened in (
                (screen, MainScreen),
                (opener, Overlay),
                ("escape", MainScreen),
                ("question_mark", Help),
                ("escape", MainScreen),
            ):
                app.post_message(Key(key, "?" if key == "question_mark" else None if len(key) > 1 else key))
                await until(pilot, lambda opened=opened: isinstance(app.screen, opened))  # type: ignore[misc]


async def test_what_is_answered_twice_closes_nothing_that_lies_below(answers: QuickAnswers) -> None:
    app = make_app(answers)
    given: list[str | None] = []
    async with app.run_test(size=SIZE) as pilot:
        below = Question("below", Content("?"), [("y", "yes", "yes")])
        above = Question("above", Content("?"), [("y", "yes", "yes")])
        await app.push_screen(below)
        await app.push_screen(above, given.append)
        for _ in range(3):
            above.action_answer("yes")
        await until(pilot, lambda: app.screen is below)
        await until(pilot, lambda: given)
        assert given == ["yes"]
        below.dismiss(None)
        below.dismiss(None)
        await until(pilot, lambda: isinstance(app.screen, AskScreen))
        app.screen.dismiss(None)
        assert isinstance(app.screen, AskScreen)


async def test_page_keys_in_a_list_without_room(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        for lines in (0, 40):
            choices = [Choice(str(number), Content(f"choice {number}")) for number in range(lines)]
            await app.push_screen(Picker("Choose", choices, "nothing"))
            results = app.screen.query_one(OptionList)
            results.styles.height = results.styles.min_height = 0
            await until(pilot, lambda results=results: not results.size.height)  # type: ignore[misc]
            results.clear_options().add_options([each.line for each in choices])
            results.highlighted = 0 if lines else None
            results.focus()
            await pilot.press("pagedown", "pageup", "end", "home", "down", "up", "pagedown")
            assert app.is_running


async def test_charts_that_are_drawn_while_they_go(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        wall = ChartWall(MinChartSize(20, 5))
        await app.screen.mount(wall)
        wall.set_charts([ChartSpec(name, name, (Line(name, "", FIRST),)) for name in "ab"])
        await until(pilot, lambda: len(wall.page) == 2 or not wall.size.width)
        await wall.remove()
        wall.show(WallData(charts={"b": ChartData((Curve(FIRST, (0, 1), (0.0, 1.0)),))}))
        wall.on_click(click(wall))
        wall.action_enlarge()
        assert app.is_running


def test_the_exit_code_is_the_apps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr("looptop.tui.opening.run_app", lambda *_: 1)
    assert cli.main([], open_app=entry.open_app) == 1


async def test_a_click_that_comes_when_all_screens_are_gone_is_dropped(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: isinstance(app.screen, AskScreen))
        screens = app.screen_stack
        app._screen_stacks[app._current_mode].clear()
        try:
            await app.on_event(MouseMove(None, 0, 20, 0, 0, 0, False, False, False))
            await app.on_event(Key("q", "q"))
        finally:
            app._screen_stacks[app._current_mode].extend(screens)
        assert app.is_running


async def test_what_waits_for_a_redraw_is_dropped_when_its_screen_closes(answers: QuickAnswers) -> None:
    app = make_app(answers)
    calls: list[str] = []
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, ModelPicker))
        picker = app.screen
        picker.call_after_refresh(calls.append, "before")
        await until(pilot, lambda: bool(calls))
        picker.call_after_refresh(calls.append, "closed")  # It would look for widgets that are gone.
        picker.dismiss(None)
        await until(pilot, lambda: not picker.is_running)
    assert calls == ["before"]


@pytest.mark.parametrize("left", [-0.006, 0.01, 60.0])
async def test_a_notice_that_is_about_to_expire_is_not_shown_on_the_next_screen(
    answers: QuickAnswers, left: float
) -> None:
    app = make_app(answers)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        app.notify("almost over", timeout=6)
        await until(pilot, lambda: bool(app.screen.query(Toast)))
        (notice,) = app._notifications
        notice.raised_at = time.time() - notice.timeout + left
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        if left > 1:
            await until(pilot, lambda: bool(app.screen.query(Toast)))
        else:
            await until(pilot, lambda: bool(app.screen.query(ToastRack)))
            await pilot.pause()
            assert not app.screen.query(Toast)


@pytest.mark.parametrize("first", ["q", "ctrl+c"])
async def test_ctrl_c_quits_though_q_is_pressed_too(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    app = make_app(answers)
    calls: list[object] = []
    go_on = threading.Event()

    def slow(started: object) -> list[RunFolder]:
        calls.append(started)
        go_on.wait(20)
        return []

    monkeypatch.setattr(quitting, "live_runs", slow)
    monkeypatch.setattr(quitting, "LIVE_RUNS_SECONDS", 60.0)
    monkeypatch.setattr(app, "unsaved", lambda: ["a draft"])
    async with app.run_test(size=SIZE) as pilot:
        press = [app.action_quit_or_ask, app.action_quit_now]
        for action in press if first == "q" else reversed(press):
            action()
            await until(pilot, lambda: calls)
        await until(pilot, lambda: len(calls) == (2 if first == "q" else 1))
        go_on.set()
        await until(pilot, lambda: app._exit)


async def test_ctrl_c_quits_during_the_question_of_q(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(answers)
    monkeypatch.setattr(app, "unsaved", lambda: ["a draft"])
    async with app.run_test(size=SIZE) as pilot:
        app.action_quit_or_ask()
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app._exit)


async def test_work_that_is_cancelled_before_it_starts_is_closed(answers: QuickAnswers) -> None:
    async def nothing() -> None:
        pass

    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        first, second = nothing(), nothing()
        work(app, first, "test", exclusive=True)
        work(app, second, "test", exclusive=True)
        await until(pilot, lambda: inspect.getcoroutinestate(second) == inspect.CORO_CLOSED)
        assert inspect.getcoroutinestate(first) == inspect.CORO_CLOSED, "Python would warn that it was never awaited"
