"""Runs of a stranger in the app: their files are neither waited for nor run, and their text is only shown."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from looptop.engine.runs.about import write_about
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.engine.startup import host
from looptop.tui.forms.new_run import NewRunForm
from looptop.tui.ppo.screen import PpoScreen
from looptop.tui.runs.screen import RunsScreen
from looptop.tui.screens.dialog import Question
from looptop.tui.screens.log_reader import LogReader
from looptop.tui.train.screen import TrainScreen
from tests.factories.apps import make_app
from tests.factories.ppo import ppo_config
from tests.factories.quick_answers import QuickAnswers
from tests.factories.vqa_runs import make_run
from tests.tui.conftest import shown, until

LEFT_ON = "runs"


async def go(pilot: Any) -> None:
    await pilot.press("alt+4")
    await until(pilot, lambda: isinstance(pilot.app.screen, RunsScreen) and "1 of 1 run" in shown(pilot.app))


@pytest.mark.parametrize("name", ["about.toml", "config.toml", "run.lock", "run.db", "log.txt"])
async def test_a_run_with_a_pipe_in_it_is_listed_and_opened(name: str, answers: QuickAnswers) -> None:
    run = make_run()
    (run.path / name).unlink(missing_ok=True)
    os.mkfifo(run.path / name)
    app = make_app(answers)
    async with app.run_test(size=(200, 48)) as pilot:
        await go(pilot)
        await until(pilot, lambda: f"{name} is not a regular file" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen))
        await pilot.press("l")
        await pilot.pause()
        await pilot.press("escape")
    reader = LogReader(run.log)
    assert not reader.poll() and ("is not a regular file" in reader.trouble or name != "log.txt")


COMMAND = "echo \x1b]0;hello > /dev/null"


async def test_resuming_somebody_elses_run_asks_and_shows_what_it_would_start(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(state=RunState.STOPPED)
    write_about(run.path, notify=COMMAND)
    (run.path / "origin").unlink()
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(host, "relaunch", lambda _path, **options: asked.append(options) or run)
    app = make_app(answers)
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot)
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, Question) and "echo ␛]0;hello" in shown(app))
        assert "about.toml" in "".join(re.findall(r"│ *(.*?) *│", shown(app)))  # a long path stands on two lines
        await pilot.press("enter")  # the first answer starts nothing
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        assert not asked
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("t")
        await until(pilot, lambda: asked)
    assert asked == [{"trust": True}]


async def test_a_run_like_somebody_elses_and_its_comparison_ask_as_well(answers: QuickAnswers, tmp_path: Path) -> None:
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'it ran')!r}, 'w')\ndef score(queries, responses): return responses\n")
    run = RunFolder.create("ppo", ppo_config(tmp_path / "models", f"rewards.evil.function={evil}:score"))
    (run.path / "origin").unlink()
    app = make_app(answers)
    async with app.run_test(size=(160, 48)) as pilot:
        await go(pilot)
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, Question) and "Python function" in shown(app))
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, PpoScreen) and app.screen.query_one(NewRunForm).display)
        app.open_run(run)
        await until(pilot, lambda: isinstance(app.screen, PpoScreen) and app.screen.shown.folder == run)
        screen = app.screen
        assert isinstance(screen, PpoScreen)
        begun: list[bool] = []
        screen._comparing.begin = lambda *, trust=False: begun.append(trust)  # type: ignore[method-assign]
        screen._compare_wanted()
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        assert not begun
        screen._compare_wanted()
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("t")
        await until(pilot, lambda: begun)
    assert begun == [True] and not (tmp_path / "it ran").exists()
