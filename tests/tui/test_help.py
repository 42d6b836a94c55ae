"""The help: what the pane with the focus shows, and the keys of its screen."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

from textual.containers import VerticalScroll
from textual.widget import Widget

from looptop import tui
from looptop.tui.actions.panes import PANES, pane_of
from looptop.tui.screens.base import MainScreen, Overlay
from looptop.tui.screens.entries import Entries
from looptop.tui.screens.events import EventSource
from looptop.tui.screens.help import Help
from looptop.tui.screens.log import LogSource
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.tui.conftest import shown, until

MODES = ("ask", "train", "ppo", "runs", "charts", "evaluation", "timeline")


def overlays() -> set[type[Overlay[Any]]]:
    """All overlays of the app, besides the help itself and the entries, whose help is that of their source."""
    for module in pkgutil.walk_packages(tui.__path__, f"{tui.__name__}."):
        importlib.import_module(module.name)

    def below(kind: type[Overlay[Any]]) -> Iterator[type[Overlay[Any]]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    return {each for each in below(Overlay) if each.__module__.startswith(tui.__name__)} - {Help, Entries}


async def test_every_pane_is_explained(answers: QuickAnswers) -> None:
    explained = {each.__name__ for each in overlays()} | {LogSource.id, EventSource.id}
    assert explained <= set(PANES)
    async with (app := make_app(answers)).run_test(size=(120, 40)) as pilot:
        await pilot.press("slash", "escape", "p")  # The filter and the gallery are made when they are first used.
        for mode in MODES:
            await app.action_go(mode)
            screen = app.screen
            assert isinstance(screen, MainScreen) and app.current_mode == mode
            for widget in filter(lambda each: each.can_focus, screen.query("*").results(Widget)):
                pane = pane_of(widget)
                assert pane is not None and pane is not pane_of(screen), f"{mode}: {widget!r} is not explained"
                explained |= {each for node in widget.ancestors_with_self if (each := node.id) in PANES}
            explained.add(type(screen).__name__)
    assert set(PANES) <= explained, "no pane has this id"


def test_an_explanation_is_one_to_five_sentences() -> None:
    for key, pane in PANES.items():
        assert pane.text.endswith("."), key
        assert 1 <= len(re.findall(r"\.(?= [^a-z]|$)", pane.text)) <= 5, key


async def test_the_help_explains_the_pane_that_has_the_focus(answers: QuickAnswers) -> None:
    async with (app := make_app(answers)).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "1.png" in shown(app))
        for keys, name in (
            (("question_mark",), "images"),
            (("a", "f1"), "question"),
            (("escape", "question_mark"), "answers"),
            (("slash", "f1"), "image-filter"),
        ):
            await pilot.press(*keys)
            pane = PANES[name]
            await until(pilot, lambda: "─ Help ─" in shown(app) and pane.title in shown(app))  # noqa: B023
            assert pane.text[:30] in shown(app)
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, Help))


async def test_a_long_explanation_is_scrolled(answers: QuickAnswers) -> None:
    async with (app := make_app(answers)).run_test(size=(40, 12)) as pilot:
        await until(pilot, lambda: "1.png" in shown(app))
        await app.push_screen(Help(("evaluation",), PANES["figures-page"]))
        box = app.screen.query_one(VerticalScroll)
        await until(pilot, lambda: "The figures" in shown(app) and box.max_scroll_y)
        seen = set(shown(app).splitlines())
        while box.scroll_offset.y < box.max_scroll_y:
            await pilot.press("pagedown")
            seen |= set(shown(app).splitlines())
        words = {word for line in seen for word in re.split("[│▁-█ ]+", line)}
        assert set(PANES["figures-page"].text.split()) <= words, "words are cut"
