"""The command palette: every action of every screen, by its name."""

from __future__ import annotations

from typing import Any

import pytest
from textual.widgets import Input, OptionList

from looptop.engine.home import READ_ONLY
from looptop.tui import actions
from looptop.tui.ask.screen import AskScreen
from looptop.tui.forms.new_run import NewRunForm
from looptop.tui.plots.chart_wall import ChartWall
from looptop.tui.runs.screen import RunsScreen
from looptop.tui.screens import palette
from looptop.tui.screens.dialog import TextQuestion
from looptop.tui.screens.palette import Palette, commands_of
from looptop.tui.train.run_view import RunView
from looptop.tui.train.screen import TrainScreen
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.factories.vqa_runs import make_run
from tests.tui.conftest import notices, shown, until

SIZE = (120, 40)


async def choose(pilot: Any, command: str) -> None:
    """Types the name of a command and chooses it."""
    await pilot.press("ctrl+p")
    await until(pilot, lambda: isinstance(pilot.app.screen, Palette))
    pilot.app.screen.query_one(Input).value = command
    options = pilot.app.screen.query_one(OptionList)
    await until(pilot, lambda: command in str(options.get_option_at_index(0).prompt))
    options.highlighted = 0
    options.action_select()


async def test_every_action_of_the_screens_is_listed_once(answers: QuickAnswers) -> None:
    async with (app := make_app(answers)).run_test(size=SIZE):
        commands = list(commands_of(app.screen))
        known = {(each.context, each.action.name) for each in commands}
        contexts = {"app", *(context for screen in actions.SCREENS.values() for context in screen.contexts)}
        for context in contexts:
            for action in actions.actions_of([context]):
                assert not action.palette or (context, action.name) in known, action
        names = [(each.name, each.action.help) for each in commands]
        assert len(names) == len(set(names))
        assert names[0][0] == "Ask (1)" and "Train: new run (n)" in dict(names)
        assert not any(name.startswith("Ask:") for name, _ in names)


async def test_a_command_goes_to_its_screen_and_does_it_there(answers: QuickAnswers) -> None:
    run = make_run()
    async with (app := make_app(answers)).run_test(size=SIZE) as pilot:
        await choose(pilot, "Runs: title (t)")
        await until(pilot, lambda: isinstance(app.screen, TextQuestion) and f"Title of {run.id}" in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        app.open_run(run)
        await until(pilot, lambda: isinstance(app.screen, TrainScreen) and app.screen.query_one(RunView).snapshot)
        await choose(pilot, "log scale (y)")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen) and app.screen.query_one(ChartWall).view.log)
        await pilot.press("1")
        await until(pilot, lambda: isinstance(app.screen, AskScreen))
        await choose(pilot, "Train: new run (n)")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen) and app.screen.query_one(NewRunForm).display)
        assert not notices(app)


async def test_what_cannot_be_done_is_a_sentence(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (app := make_app(answers)).run_test(size=SIZE) as pilot:
        for number, (command, sentence, mode, seconds) in enumerate(
            (
                ("Charts: configurations (t)", "works only in the charts of runs", "ask", 0.0),
                ("Runs: delete (D)", "there is no run to do this with", "runs", 20.0),
                ("Train: checkpoint (c)", "“checkpoint” works only in the view of a run", "train", 0.1),
                ("PPO: best (t)", "“best” works only in a batch", "ppo", 0.1),
            ),
            start=1,
        ):
            monkeypatch.setattr(palette, "SETTLE_SECONDS", seconds)
            await choose(pilot, command)
            await until(pilot, lambda sentence=sentence: any(sentence in each for each in notices(app)))  # type: ignore[misc]
            assert app.current_mode == mode and len(notices(app)) == number


async def test_words_of_its_sentence_find_a_command(answers: QuickAnswers) -> None:
    async with (app := make_app(answers)).run_test(size=SIZE) as pilot:
        await app.action_go("train")
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, Palette))
        app.screen.query_one(Input).value = "occlusion map"
        await until(pilot, lambda: "Ask: view (v)" in shown(app))


async def test_an_app_that_only_looks_offers_no_changes(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(READ_ONLY, "1")
    async with (app := make_app(answers)).run_test(size=SIZE):
        assert isinstance(app.screen, AskScreen)
        assert not any(each.action.changes for each in commands_of(app.screen))
