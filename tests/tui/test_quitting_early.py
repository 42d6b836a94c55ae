"""Quitting while a screen is being composed: its widgets are never mounted, and that is no error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.content import Content
from textual.css.query import NoMatches
from textual.screen import ModalScreen, Screen
from textual.widgets import Input

from looptop.engine.runs.folder import RunFolder
from looptop.tui.ask.card import CardView
from looptop.tui.ask.images.path_question import PathQuestion
from looptop.tui.ask.many.page import ManyQuestion
from looptop.tui.ask.model_picker import ModelPicker
from looptop.tui.charts.completions import Completions
from looptop.tui.charts.configurations import Configurations
from looptop.tui.ppo.breakpoints import Breakpoints
from looptop.tui.runs.screen import RunsScreen
from looptop.tui.screens.dialog import Question, TextQuestion
from looptop.tui.screens.entries import Entries
from looptop.tui.screens.events import EventSource
from looptop.tui.screens.help import Help
from looptop.tui.screens.palette import Palette
from looptop.tui.screens.picker import Choice, Picker
from looptop.tui.train.questions_page import QuestionsPage
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.tui.conftest import until

LEFT_ON = "runs"
RUN = RunFolder(Path("/nowhere"))


class Asks(ModalScreen[None]):
    """Asks for a widget that it does not have."""

    def on_mount(self) -> None:
        self.query_one(Input)


class Fails(ModalScreen[None]):
    """Has a mistake."""

    def on_mount(self) -> None:
        raise ValueError("a mistake")


OVERLAYS: dict[str, Callable[[], Screen[Any]]] = {
    "help": lambda: Help(("shared",), None),
    "palette": Palette,
    "models": lambda: ModelPicker([], []),
    "picker": lambda: Picker("Choose", [Choice("a", Content("a"))], ""),
    "path": PathQuestion,
    "question": lambda: Question("Sure?", Content("Sure?"), [("y", "yes", "yes")]),
    "text": lambda: TextQuestion("Note", "before"),
    "many": lambda: ManyQuestion("what?", 3, 3, 1),
    "card": lambda: CardView("bundled"),
    "completions": lambda: Completions(RUN),
    "configurations": lambda: Configurations([("a", {})]),
    "breakpoints": lambda: Breakpoints(RUN, []),
    "events": lambda: Entries(EventSource([RUN])),
    "questions": lambda: QuestionsPage(RUN, lambda _state: None),
    "asks": Asks,
}


async def quit_during(answers: QuickAnswers, opens: Callable[[Any], object], *, quits: bool = True) -> int | None:
    """Quits before a screen that is opened has been composed; returns the app's exit code."""
    app = make_app(answers)
    async with app.run_test() as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.is_mounted)
        opens(app)
        if quits:
            app.exit()
    return app.return_code


@pytest.mark.parametrize("name", OVERLAYS)
async def test_quitting_while_an_overlay_opens_is_no_error(answers: QuickAnswers, name: str) -> None:
    assert await quit_during(answers, lambda app: app.push_screen(OVERLAYS[name]())) == 0


@pytest.mark.parametrize("name", ["ask", "train", "ppo", "charts", "evaluation", "timeline"])
async def test_quitting_while_a_screen_opens_is_no_error(answers: QuickAnswers, name: str) -> None:
    assert await quit_during(answers, lambda app: app.switch_mode(name)) == 0


async def test_a_widget_that_is_missing_is_an_error_unless_the_app_quits(answers: QuickAnswers) -> None:
    with pytest.raises(NoMatches):
        await quit_during(answers, lambda app: app.push_screen(Asks()), quits=False)


async def test_a_mistake_is_an_error_even_while_the_app_quits(answers: QuickAnswers) -> None:
    with pytest.raises(ValueError, match="a mistake"):
        await quit_during(answers, lambda app: app.push_screen(Fails()))
