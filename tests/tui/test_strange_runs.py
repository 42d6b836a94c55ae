"""Runs of a stranger in the app: their files are neither waited for nor run, and their text is only shown."""

from __future__ import annotations

import os
from typing import Any

import pytest

from looptop.tui.app import LooptopApp
from looptop.tui.screens.log import _tail
from looptop.tui.screens.runs import Runs
from looptop.tui.screens.train import Train
from tests.tui.conftest import QuickAnswers, make_run, shown, until


def app_of(answers: QuickAnswers) -> LooptopApp:
    return LooptopApp(make_process=lambda: answers)


async def go(pilot: Any) -> None:
    await pilot.press("alt+4")
    await until(pilot, lambda: isinstance(pilot.app.screen, Runs) and "1 of 1 runs" in shown(pilot.app))


@pytest.mark.parametrize("name", ["about.toml", "config.toml", "run.lock", "run.db", "log.txt"])
async def test_a_run_with_a_pipe_in_it_is_listed_and_opened(name: str, answers: QuickAnswers) -> None:
    run = make_run()
    (run.path / name).unlink(missing_ok=True)
    os.mkfifo(run.path / name)
    app = app_of(answers)
    async with app.run_test(size=(200, 48)) as pilot:
        await go(pilot)
        await until(pilot, lambda: f"{name} is no regular file" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Train))
        await pilot.press("l")
        await pilot.pause()
        await pilot.press("escape")
    assert "is no regular file" in _tail(run.log) or name != "log.txt"
