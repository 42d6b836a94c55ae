"""Below 80 by 24 each screen shows the one pane that matters; below 40 by 12 a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from looptop.tui.screens.base import Overlay
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.factories.vqa_runs import make_run
from tests.tui.conftest import resize, shown, until

SMALL = [(40, 12), (79, 24), (80, 23), (200, 15), (40, 60)]


def fits(app: Any) -> bool:
    """Whether all that is displayed lies inside the terminal, and the lines at the top and the bottom are there."""
    regions = [widget.region for widget in app.screen.children if widget.display]
    inside = all(region.right <= app.size.width and region.bottom <= app.size.height for region in regions)
    return inside and "1 Ask" in shown(app) and "quit" in shown(app)


@pytest.mark.parametrize("size", SMALL)
async def test_ask_shows_the_pane_with_the_focus(answers: QuickAnswers, size: tuple[int, int]) -> None:
    async with (app := make_app(answers)).run_test(size=size) as pilot:
        await until(pilot, lambda: "1.png" in shown(app))
        assert fits(app)
        assert "Question" not in shown(app)
        await pilot.press("a", *"what?", "enter")
        await until(pilot, lambda: "red  75.0%" in shown(app))
        assert "1.png" not in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: fits(app))
        await pilot.press("i")
        await until(pilot, lambda: "1.png" in shown(app))


@pytest.mark.parametrize("size", SMALL)
async def test_every_screen_shows_its_pane(answers: QuickAnswers, size: tuple[int, int]) -> None:
    run = make_run()
    async with (app := make_app(answers, attach=run)).run_test(size=size) as pilot:
        await until(pilot, lambda: "step 120 of 200" in shown(app) and "Loss" in shown(app))
        assert fits(app)
        assert "Sample answers" not in shown(app)
        await pilot.press("m")
        await until(pilot, lambda: "1/" in shown(app) and " loss" in shown(app))
        assert fits(app)
        await pilot.press("4")
        await until(pilot, lambda: "1 of 1 run" in shown(app))
        assert fits(app)
        assert run.id in shown(app)
        await pilot.press("3")
        await until(pilot, lambda: app.current_mode == "ppo" and fits(app))


async def test_an_overlay_takes_the_whole_terminal(answers: QuickAnswers) -> None:
    async with (app := make_app(answers)).run_test(size=(40, 12)) as pilot:
        await until(pilot, lambda: "1.png" in shown(app))
        await pilot.press("question_mark")
        await until(pilot, lambda: "─ Help ─" in shown(app) and isinstance(app.screen, Overlay))
        box = app.screen.query_one(".box")
        assert (box.region.width, box.region.height) == (40, 11)


async def test_a_terminal_that_grows_shows_whole_screens_again(answers: QuickAnswers) -> None:
    async with (app := make_app(answers)).run_test(size=(40, 12)) as pilot:
        await until(pilot, lambda: "1.png" in shown(app) and "Question" not in shown(app))
        await resize(pilot, 80, 24)
        await until(pilot, lambda: "1.png" in shown(app) and "Question" in shown(app) and "looptop" in shown(app))
        await resize(pilot, 60, 20)
        await until(pilot, lambda: "Question" not in shown(app))


@pytest.mark.parametrize(("width", "height"), [(39, 12), (40, 11), (20, 5)])
async def test_a_terminal_that_is_too_small_is_one_sentence(answers: QuickAnswers, width: int, height: int) -> None:
    async with (app := make_app(answers)).run_test(size=(width, height)) as pilot:
        await until(pilot, lambda: "at least 40 by 12" in " ".join(shown(app).split()))
        assert "1.png" not in shown(app)
        await resize(pilot, 40, 12)
        await until(pilot, lambda: "1.png" in shown(app))
        assert "at least 40 by 12" not in shown(app)
