"""What the tests of the PPO screen share: runs that nobody trained, and ways onto the screen."""

from __future__ import annotations

from functools import partial
from typing import Any

from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.runs.folder import RunFolder
from looptop.tui.app import LooptopApp
from looptop.tui.ppo.screen import PpoScreen
from tests.tui.conftest import shown, until

SIZE = (120, 40)


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
    at = next(number for number, line in enumerate(lines) if line.startswith(begin))
    return lines[at + 1 :]


def judgements(run: RunFolder) -> list[tuple[int, int, str, float | None, str]]:
    return [(each.step, each.row, each.kind, each.value, each.by) for each in PpoJournal(run.db).judgements()]
