"""Runs of older versions in the app: listed, opened where their kind is shown, and not changed by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from looptop.tui.runs.screen import RunsScreen
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.tui.conftest import notices, shown, until
from tests.versions import unpack

LEFT_ON = "runs"
MARKS = "⠁⠂⠄⡀⠈⠐⠠⢀⠒⠉⠤⣀"
"""Some of the dots that curves are drawn with."""

SHOWN = {"vqa-1": "with a checkpoint of step 41", "ppo-1": "with a checkpoint of step 1", "trainer-1": "step 12"}


@pytest.mark.parametrize("name", SHOWN)
async def test_a_run_of_version_1_is_opened(name: str, answers: QuickAnswers, home: Path, tmp_path: Path) -> None:
    runs = unpack(home, tmp_path)
    before = runs[name].db.read_bytes()
    app: Any = make_app(answers)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("alt+4")
        await until(pilot, lambda: all(run in shown(app) for run in runs))
        await pilot.press("slash", *f"id:{name}", "enter")
        await until(pilot, lambda: "1 of 3 runs" in shown(app))
        await pilot.press("enter")
        await until(
            pilot, lambda: not isinstance(app.screen, RunsScreen) and name in shown(app) and SHOWN[name] in shown(app)
        )
    assert runs[name].db.read_bytes() == before


@pytest.mark.parametrize(("name", "setting"), [("vqa-1", "image_encoder"), ("ppo-1", "max_new_tokens")])
async def test_a_run_of_version_1_fills_in_the_form(
    name: str, setting: str, answers: QuickAnswers, home: Path, tmp_path: Path
) -> None:
    runs = unpack(home, tmp_path)
    app: Any = make_app(answers)
    async with app.run_test(size=(120, 40)) as pilot:
        app.duplicate(runs[name])
        await until(pilot, lambda: f"New run, like {name}" in shown(app) and f"● {setting}" in shown(app))


async def test_runs_of_version_1_are_compared_in_charts(answers: QuickAnswers, home: Path, tmp_path: Path) -> None:
    unpack(home, tmp_path)
    app: Any = make_app(answers)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("alt+4")
        await until(pilot, lambda: "trainer-1" in shown(app))
        await pilot.press("home", "space", "space", "space", "m")
        await until(
            pilot,
            lambda: (
                not isinstance(app.screen, RunsScreen)
                and all(name in shown(app) for name in (*SHOWN, "loss"))
                and any(mark in shown(app) for mark in MARKS)
            ),
        )


async def test_a_run_of_another_program_is_not_duplicated(answers: QuickAnswers, home: Path, tmp_path: Path) -> None:
    runs = unpack(home, tmp_path)
    app: Any = make_app(answers)
    async with app.run_test(size=(120, 40)) as pilot:
        app.duplicate(runs["trainer-1"])
        await until(pilot, lambda: any("it is a run of another program" in notice for notice in notices(app)))
