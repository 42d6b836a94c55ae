"""What the tests of the PPO screen share: runs that nobody trained, and ways onto the screen."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

from looptop.engine.journal.causes import Hold
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.ppo.records import Place
from looptop.engine.runs.folder import RunFolder, RunLock, RunState
from looptop.tui.app import LooptopApp
from looptop.tui.ppo.screen import PpoScreen
from scripts.make_ppo_run import Maker, make_run
from tests.tui.conftest import QuickAnswers, shown, until

SIZE = (120, 40)


def make(answers: QuickAnswers) -> LooptopApp:
    return LooptopApp(make_process=lambda: answers)


def small_run(batches: int = 40, samples: int = 8, **options: Any) -> RunFolder:
    """A run of some batches, finished unless `options` say otherwise."""
    return make_run(Maker(batches, samples), **options)


@contextlib.contextmanager
def held_run(place: Place = "compared", batches: int = 4) -> Iterator[tuple[RunFolder, JournalWriter]]:
    """A live run that waits in its last batch; and its writer."""
    run = small_run(batches, state=None, last_place=place)
    with RunLock(run.lock, run.id):
        writer = JournalWriter(run.db)
        writer.state(RunState.PAUSED, Hold(batches, place))
        writer.flush()
        yield run, writer
        writer.close()


async def go(pilot: Any, run: RunFolder | None = None, level: str = "run") -> PpoScreen:
    """Onto the PPO screen, and down to a level of a run."""
    await pilot.press("alt+3")
    await until(pilot, lambda: isinstance(pilot.app.screen, PpoScreen))
    screen = pilot.app.screen
    assert isinstance(screen, PpoScreen)
    if run is None:
        return screen
    if screen.shown.folder is None:
        screen.attach(run)
    await until(pilot, lambda: f" {run.id}" in shown(pilot.app) and complete(pilot.app))
    for name, seen in (("batch", "samples"), ("sample", "= reward"), ("tokens", " in all")):
        if level in ("batch", "sample", "tokens") and screen.navigation.level != level:
            await pilot.press("enter")
            await until(pilot, partial(is_on, screen, name, seen))
    return screen


def is_on(screen: PpoScreen, level: str, text: str) -> bool:
    """Whether the screen shows a level, and this text."""
    return screen.navigation.level == level and text in shown(screen.app)


def last_batch(screen: PpoScreen) -> int | None:
    """The last batch of the run that the screen knows of."""
    return screen.shown.snapshot.last if screen.shown.snapshot is not None else None


def complete(app: LooptopApp) -> bool:
    """Whether charts and batches are on the screen."""
    text = shown(app)
    return "quality" in text and "batch reward" in text and any(char in text for char in "⠉⠒⠤⣀⡠⠔")


def crumbs(app: Any) -> str:
    """The line that says where one is."""
    return shown(app).splitlines()[1]


def rows(app: Any, begin: str) -> list[str]:
    """The lines below the first one that begins so."""
    lines = [line.strip() for line in shown(app).splitlines()]
    at = next(place for place, line in enumerate(lines) if line.startswith(begin))
    return lines[at + 1 :]


def judgements(run: RunFolder) -> list[tuple[int, int, str, float | None, str]]:
    return [(each.step, each.row, each.kind, each.value, each.by) for each in PpoJournal(run.db).judgements()]
