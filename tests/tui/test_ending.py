"""A screen that works on while the app ends finds no screens any more, and that is no error."""

from __future__ import annotations

import pytest

from looptop.tui.app import LooptopApp
from looptop.tui.screens.train import Train
from tests.tui.conftest import QuickAnswers, until
from tests.tui.ppo_helpers import make


async def test_no_screen_is_below_once_the_app_has_let_go_of_all(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make(answers)
    async with app.run_test() as pilot:
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, Train))
        screen = app.screen
        assert isinstance(screen, Train) and screen.is_below
        with monkeypatch.context() as ending:
            ending.setattr(LooptopApp, "screen_stack", property(lambda _app: []))
            assert not screen.is_below
