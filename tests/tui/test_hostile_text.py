"""Whatever a run's files hold: no screen lets a character through that acts on the terminal."""

from __future__ import annotations

from typing import Any

import pytest
from textual.screen import Screen

from looptop.engine.runs.folder import RunFolder
from looptop.tui.app import LooptopApp
from looptop.tui.charts.screen import ChartsScreen
from looptop.tui.evaluation.timeline import TimelineScreen
from looptop.tui.runs.screen import RunsScreen
from looptop.tui.screens.entries import Entries
from looptop.tui.screens.log import LogSource
from looptop.tui.train.questions_page import QuestionsPage
from looptop.tui.train.screen import TrainScreen
from tests.factories.apps import make_app
from tests.factories.hostile import acts, hostile_run
from tests.factories.quick_answers import QuickAnswers
from tests.tui import ppo_helpers
from tests.tui.conftest import shown, until

SIZE = (160, 48)


def check(app: Any) -> None:
    """Looks at each line as it goes to the terminal, and at what was said."""
    text = shown(app)
    assert not acts(text), (acts(text), text)
    assert isinstance(app.screen, Screen)


@pytest.fixture(params=["every widget for itself", "the last net"])
def layers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the net below all widgets, and without it."""
    if request.param != "the last net":
        monkeypatch.setattr("looptop.tui.text.VisibleLines.apply", lambda _self, segments, _background: segments)
    return str(request.param)


@pytest.mark.usefixtures("layers")
async def test_no_screen_shows_what_acts_on_the_terminal(answers: QuickAnswers) -> None:
    run = hostile_run(40)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await walk_ppo(app, pilot, run)
        await pilot.press("alt+4")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and "1 of 1 run" in shown(app))
        check(app)
        for key in ("t", "n", "e", "question_mark"):
            await over(app, pilot, key)
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, ChartsScreen) and "env/reward_mean" in shown(app))
        check(app)
        await pilot.press("slash", *"mine", "enter")
        await until(pilot, lambda: "minea" in shown(app) and "env/reward_mean" not in shown(app))
        check(app)
        await pilot.press("w")
        await pilot.pause()
        check(app)
        await pilot.press("escape")
        app._go("train", lambda screen: screen.attach(run))
        await until(pilot, lambda: isinstance(app.screen, TrainScreen) and run.id in shown(app))
        check(app)
        await pilot.press("w")
        for page in ("✗", "by question type", "answered →"):
            await until(pilot, lambda page=page: isinstance(app.screen, TimelineScreen) and page in shown(app))  # type: ignore[misc]
            check(app)
            await pilot.press("tab")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, QuestionsPage) and "2 questions" in shown(app))
        check(app)
        await over(app, pilot, "enter")
        await pilot.press("escape")
        app.push_screen(Entries(LogSource(run)))
        await until(pilot, lambda: isinstance(app.screen, Entries) and "evil" in shown(app))
        check(app)
        app.show_notice("\x1b]0;evil\x07")
        await pilot.pause()
        check(app)


async def over(app: LooptopApp, pilot: Any, key: str) -> None:
    """Opens what lies over the screen, and closes it."""
    below = app.screen
    await pilot.press(key)
    await until(pilot, lambda: app.screen is not below)
    await pilot.pause()
    check(app)
    await pilot.press("escape")
    await until(pilot, lambda: app.screen is below)


async def walk_ppo(app: LooptopApp, pilot: Any, run: RunFolder) -> None:
    await pilot.press("alt+3")
    screen = await ppo_helpers.go(pilot)
    screen.attach(run)
    await until(
        pilot, lambda: run.id in shown(app) and "evil" in shown(app) and screen.navigation.chosen_step is not None
    )
    check(app)
    for key in ("i", "b"):
        await over(app, pilot, key)
    for key in ("a", "a", "z", "z", "home", "m", "end"):
        await pilot.press(key)
        await pilot.pause()
        check(app)
    await pilot.press("enter")
    await until(pilot, lambda: screen.navigation.level == "batch" and "samples" in shown(app))
    check(app)
    await over(app, pilot, "i")
    for key in ("right_square_bracket", "right_square_bracket", "t", "h", "h"):
        await pilot.press(key)
        await pilot.pause()
        check(app)
    await pilot.press("enter")
    await until(pilot, lambda: screen.navigation.level == "sample" and "= reward" in shown(app))
    check(app)
    await pilot.press("enter")
    await until(pilot, lambda: screen.navigation.level == "tokens" and " in all" in shown(app))
    check(app)
    for key in ("v", "p", "right", "p"):
        await pilot.press(key)
        await pilot.pause()
        check(app)
    await pilot.press("escape", "escape", "escape")
