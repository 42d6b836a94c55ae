"""A screen that works on while the app ends finds no screens any more, and that is no error."""

from __future__ import annotations

import pytest

from looptop.engine.helpers.answers import AskReply
from looptop.engine.helpers.process import HelperState
from looptop.tui.app import LooptopApp
from looptop.tui.ask.screen import AskScreen
from looptop.tui.train.screen import TrainScreen
from looptop.tui.widgets.bars import TopBar
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.tui.conftest import until


async def test_no_screen_is_selected_once_the_app_has_let_go_of_all(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(answers)
    async with app.run_test() as pilot:
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))
        screen = app.screen
        assert isinstance(screen, TrainScreen) and screen.is_selected
        with monkeypatch.context() as ending:
            ending.setattr(LooptopApp, "screen_stack", property(lambda _app: []))
            assert not screen.is_selected


async def test_a_reply_that_comes_while_the_app_ends_is_dropped(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test() as pilot:
        await until(pilot, lambda: isinstance(app.screen, AskScreen) and app.screen.is_mounted)
        screen = app.screen
        assert isinstance(screen, AskScreen)
        app.exit()
        await screen.query_one(TopBar).remove()  # as Textual takes a screen apart, piece by piece
        screen._asking._on_reply(AskReply(id=0, state=HelperState.READY))
