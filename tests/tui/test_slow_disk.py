"""A disk that does not answer holds up no key: what reads or writes files does so in threads."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from textual.events import Key

from looptop.engine.files import exports
from looptop.engine.ppo.journal import write_judgement
from looptop.engine.runs import about, control, trust
from looptop.engine.runs.folder import RunFolder, RunLock
from looptop.engine.startup import host
from looptop.tui.ppo import navigation
from looptop.tui.runs import screen as runs_screen
from looptop.tui.screens.base import MainScreen
from looptop.tui.screens.help import Help
from looptop.tui.terminal import key_order
from looptop.tui.train.screen import TrainScreen
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.factories.small_ppo import held_run, small_run
from tests.factories.vqa_runs import make_run
from tests.tui.conftest import shown, until
from tests.tui.ppo_helpers import crumbs, go

SIZE = (120, 40)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that wait for a disk do so for a shorter time than in the app."""
    monkeypatch.setattr(key_order, "WORK_TIMEOUT", 0.05)


@contextlib.asynccontextmanager
async def no_answer(pilot: Any, owner: object, name: str) -> AsyncIterator[threading.Event]:
    """A function of the engine that does not return, as if the disk did not answer, until the block has ended.

    The event is set when the function has been called. A call in the app's own thread fails.
    """
    called, answered = threading.Event(), threading.Event()
    original = getattr(owner, name)

    def wait(*arguments: Any, **options: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            called.set()
            assert answered.wait(60.0)
        elif not answered.is_set():
            raise AssertionError(f"the event loop calls {name}")
        return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, wait)
        try:
            yield called
        finally:
            answered.set()
            app = pilot.app
            await until(pilot, lambda: not any(worker.group == "fetch" and worker.is_running for worker in app.workers))


async def keys_act(pilot: Any) -> None:
    """A key acts now."""
    app = pilot.app
    await pilot.press("question_mark")
    await until(pilot, lambda: isinstance(app.screen, Help))
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(app.screen, MainScreen))


async def press_all(pilot: Any, steps: Sequence[tuple[str, object, str]]) -> None:
    """For each step, presses its key while its function of the engine does not answer, and then another key."""
    app = pilot.app
    for key, owner, name in steps:
        async with no_answer(pilot, owner, name) as called:
            await pilot.press(key)
            await until(pilot, called.is_set)
            await keys_act(pilot)
        if not isinstance(app.screen, MainScreen):
            await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))


async def test_while_a_run_is_opened_and_driven(answers: QuickAnswers) -> None:
    run = make_run(state=None)
    with RunLock(run.lock, run.id):
        app = make_app(answers, attach=run)
        async with app.run_test(size=SIZE) as pilot:
            async with no_answer(pilot, RunFolder, "is_live") as called:
                await until(pilot, called.is_set)
                await keys_act(pilot)
            await until(pilot, lambda: "running" in shown(app))
            await press_all(pilot, [("space", control, "send"), ("c", control, "send")])
    assert [each.kind for each in control.take(run)] == ["pause", "checkpoint"]


async def test_while_a_run_is_resumed_or_prolonged(answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    finished, interrupted = make_run(), make_run(state=None)
    resumed: list[str] = []

    def relaunch(run_id: str) -> RunFolder:
        resumed.append(run_id)
        return interrupted

    monkeypatch.setattr(host, "relaunch", relaunch)
    app = make_app(answers, attach=finished)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "finished" in shown(app))
        await press_all(pilot, [("r", RunFolder, "config")])
        app.open_run(interrupted)
        await until(pilot, lambda: "interrupted" in shown(app))
        async with no_answer(pilot, trust, "untrusted") as called:
            await pilot.press("r")
            await until(pilot, called.is_set)
            await keys_act(pilot)
            app.open_run(finished)
            await until(pilot, lambda: "finished" in shown(app))
        await until(pilot, lambda: resumed == [str(interrupted.path)])


async def test_while_the_kind_of_a_copied_run_is_read(answers: QuickAnswers, tmp_path: Path) -> None:
    copy = RunFolder(tmp_path / "a copy")
    shutil.copytree(make_run().path, copy.path)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("alt+2")
        await until(pilot, lambda: isinstance(app.screen, TrainScreen) and app.screen.is_mounted)
        assert isinstance(app.screen, TrainScreen)
        app.screen.attach(copy)
        await until(pilot, lambda: "a copy" in shown(app) and "finished" in shown(app))
        await press_all(pilot, [("r", RunFolder, "settings")])


async def test_in_the_list_of_runs(answers: QuickAnswers) -> None:
    make_run()
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("alt+4")
        await until(pilot, lambda: " vqa-1 " in shown(app))
        await press_all(pilot, [("t", RunFolder, "about"), ("D", RunFolder, "is_live"), ("x", RunFolder, "find")])
        async with no_answer(pilot, runs_screen, "write_about") as called:
            await pilot.press("t")
            await until(pilot, lambda: "Title of vqa-1" in shown(app))
            await pilot.press("b", "e", "s", "t", "enter")
            await until(pilot, called.is_set)
            await keys_act(pilot)
        await until(pilot, lambda: "best" in shown(app))
        await press_all(pilot, [("u", RunFolder, "config")])
        async with no_answer(pilot, RunFolder, "find") as called:
            await pilot.press("alt+4", "t")
            await until(pilot, called.is_set)
            await pilot.press("alt+1")
            await until(pilot, lambda: app.current_mode == "ask")
        assert isinstance(app.screen, MainScreen), "a dialog of a screen that was left does not open"
        await pilot.press("alt+4", "m")
        await until(pilot, lambda: app.current_mode == "charts" and "eval_loss" in shown(app))
        await press_all(pilot, [("t", RunFolder, "settings")])
    assert about.read_about(RunFolder.find("vqa-1").path).title == "best"


async def test_while_a_picture_is_saved(answers: QuickAnswers, home: Path) -> None:
    run = small_run(3)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await go(pilot, run)
        await press_all(pilot, [("P", exports, "new_path")])
        await until(pilot, lambda: list(home.glob("**/*.svg")))


async def test_the_app_can_be_left(answers: QuickAnswers) -> None:
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("escape")
        async with no_answer(pilot, RunFolder, "all"):
            await pilot.press("q")
            await until(pilot, lambda: app._exit)


async def test_leaving_at_once_names_the_runs_that_were_started_here(answers: QuickAnswers) -> None:
    run = make_run(state=None)
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        app.run_started(run)
        async with no_answer(pilot, RunFolder, "all"):
            await pilot.press("ctrl+c")
            await until(pilot, lambda: app._exit)
    assert f"{run.id} goes on" in (app.return_value or "")


async def test_keys_that_come_at_once_wait_for_what_the_first_one_reads(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_order, "WORK_TIMEOUT", 60.0)
    run = make_run()
    app = make_app(answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("alt+4")
        await until(pilot, lambda: f" {run.id} " in shown(app))
        for key in ("t", "b", "e", "s", "t", "enter"):
            app.post_message(Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: run.about().title == "best")


@pytest.mark.parametrize(("patience", "ratings"), [(60.0, [(3, 0, 1.0)]), (0.01, [])])
async def test_a_key_behind_a_change_of_batch_is_never_about_the_batch_before(
    answers: QuickAnswers, monkeypatch: pytest.MonkeyPatch, patience: float, ratings: list[tuple[int, int, float]]
) -> None:
    monkeypatch.setattr(key_order, "WORK_TIMEOUT", patience)
    with held_run(batches=4) as (run, writer):
        write_judgement(writer, 3, 0, "rating", 2.0, "cli")
        writer.flush()
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            screen = await go(pilot, run, "batch")
            async with no_answer(pilot, navigation, "read_batch") as called:
                app.post_message(Key("p", "p"))
                await until(pilot, called.is_set)
                app.post_message(Key("minus", "-"))
                await until(pilot, lambda: patience > 1 or not app._key_order._busy)
                assert control.waiting_files(run) == []
            await until(pilot, lambda: "batch 3" in crumbs(app) and screen.navigation.is_updated)
            await until(pilot, lambda: len(control.waiting_files(run)) == len(ratings))
        assert [(each.batch, each.sample, each.value) for each in control.take(run)] == ratings
