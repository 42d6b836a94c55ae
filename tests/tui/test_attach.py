"""Opening the app, or screen 4's run, on one run while another of its kind is live."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from looptop.engine.config import preset
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs import control
from looptop.engine.runs.folder import RunFolder, RunLock, RunState
from looptop.tui.app import LooptopApp
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.factories.synthetic_ppo import Maker
from tests.factories.synthetic_ppo import make_run as make_ppo_run
from tests.factories.vqa_runs import make_run
from tests.tui.conftest import shown, until

SIZE = (120, 40)
SCREENS = {"vqa": "train", "ppo": "ppo"}


def ppo(state: RunState | None) -> RunFolder:
    return make_ppo_run(Maker(3, 8), state=state)


def vqa(state: RunState | None) -> RunFolder:
    return make_run(40, 40, state)


def other(kind: str) -> Callable[[RunState | None], RunFolder]:
    """A run that is shown as charts."""

    def make(state: RunState | None) -> RunFolder:
        run = RunFolder.create(kind, preset("tiny", "reward") if kind == "reward" else {"kind": kind, "name": "a run"})
        writer = JournalWriter(run.db)
        writer.state(RunState.RUNNING)
        for step in range(1, 20):
            writer.metrics(step, {"loss": 1 / step})
        if state is not None:
            writer.state(state)
        writer.close()
        return run

    return make


KINDS = {"vqa": vqa, "ppo": ppo, **{kind: other(kind) for kind in ("reward", "trainer", "tensorboard", "wandb")}}


@contextlib.contextmanager
def live_beside(kind: str) -> Iterator[list[RunFolder]]:
    """Live runs of this kind and of those that have a screen of their own."""
    with contextlib.ExitStack() as stack:
        runs = []
        for each in dict.fromkeys((kind, "vqa", "ppo")):
            run = KINDS[each](None)
            stack.enter_context(RunLock(run.lock, run.id))
            runs.append(run)
        yield runs


def top(app: LooptopApp) -> str:
    """The lines that say which run is shown."""
    return "\n".join(shown(app).splitlines()[1:3])


def shows(app: LooptopApp, run: RunFolder) -> bool:
    return app.current_mode == SCREENS.get(run.kind, "charts") and f"{run.id} " in top(app) and "finished" in top(app)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_app_opens_on_the_run_that_was_named_and_keys_are_about_it(answers: QuickAnswers, kind: str) -> None:
    named = KINDS[kind](RunState.FINISHED)
    with live_beside(kind) as beside:
        app = make_app(answers, attach=named)
        async with app.run_test(size=SIZE, notifications=True) as pilot:
            await until(pilot, lambda: shows(app, named))
            await pilot.press("space", "c")
            sentence = f"{named.id} is not running, it is finished"
            await until(pilot, lambda: sentence in " ".join(shown(app).split()))
            assert shows(app, named)
        assert [control.waiting_files(run) for run in beside] == [[] for _ in beside]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_app_opens_on_a_live_run_of_several(answers: QuickAnswers, kind: str) -> None:
    named = KINDS[kind](None)
    with RunLock(named.lock, named.id), live_beside(kind) as beside:
        app = make_app(answers, attach=named)
        async with app.run_test(size=SIZE) as pilot:
            await until(pilot, lambda: f"{named.id} " in top(app) and "running" in top(app))
            await pilot.press("space")
            await until(pilot, lambda: control.waiting_files(named))
        assert [control.waiting_files(run) for run in beside] == [[] for _ in beside]


@pytest.mark.parametrize("kind", KINDS)
async def test_enter_on_the_list_of_runs_opens_that_run(answers: QuickAnswers, kind: str) -> None:
    with live_beside(kind):
        named = KINDS[kind](RunState.FINISHED)
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            await pilot.press("alt+4")
            await until(pilot, lambda: f" {named.id} " in shown(app))
            await pilot.press("slash", *named.id, "escape")
            await until(pilot, lambda: f" {named.id} " in shown(app) and "the runs" not in shown(app))
            await pilot.press("enter")
            await until(pilot, lambda: shows(app, named))


async def test_a_run_that_lies_elsewhere_opens_on_the_screen_of_its_kind(answers: QuickAnswers, tmp_path: Path) -> None:
    named = ppo(RunState.FINISHED)
    named = RunFolder(named.path.rename(tmp_path / "best of march"))
    with live_beside("ppo"):
        app = make_app(answers, attach=named)
        async with app.run_test(size=SIZE) as pilot:
            await until(pilot, lambda: app.current_mode == "ppo" and "best of march " in top(app))
            await until(pilot, lambda: "finished" in top(app))


async def test_a_form_that_was_asked_for_stays_when_runs_are_listed(answers: QuickAnswers) -> None:
    named = ppo(RunState.FINISHED)
    with live_beside("ppo"):
        app = make_app(answers)
        async with app.run_test(size=SIZE) as pilot:
            app.duplicate(named)
            await until(pilot, lambda: app.current_mode == "ppo" and "New run, like ppo-1" in shown(app))
            await until(pilot, lambda: "ppo-2" in shown(app))
            assert "New run, like ppo-1" in shown(app)
