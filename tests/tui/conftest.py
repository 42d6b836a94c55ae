"""What the tests of the app share: its answering process, ways to wait, and what stands on the screen."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Sized
from pathlib import Path
from typing import Any

import pytest
import textual.app
import textual.pilot
from textual import _wait
from textual.css.query import NoMatches
from textual.css.stylesheet import Stylesheet

from looptop.engine.encoding import encode_json
from looptop.tui.ask.sources import easy_vqa
from looptop.tui.forms import estimator
from looptop.tui.kept_state import FILE, KeptState
from tests.factories.quick_answers import QuickAnswers
from tests.factories.quick_estimates import QuickEstimates

# Textual's own pause sleeps in steps of 20 ms, at least two for each key that a test presses: most of what a test took.
_wait.SLEEP_GRANULARITY = 0.004
_wait.SLEEP_IDLE = _wait.SLEEP_GRANULARITY / 20
WAIT_FOR_IDLE = _wait.wait_for_idle
POLL_SECONDS = 0.02
READ_QUESTIONS = functools.cache(easy_vqa.read_questions)
PARSE_RULES = Stylesheet._parse_rules
PARSED: dict[Any, Any] = {}


async def wait_for_idle(min_sleep: float = 0.0, max_sleep: float = 20.0) -> None:
    """Waits until the app has nothing left to do before something comes from a thread or a timer.

    Textual's own measures CPU time. On a busy machine it takes a process that waits for its turn for an idle one, and
    a key may not have acted yet.
    """
    await WAIT_FOR_IDLE(min_sleep)
    end = time.monotonic() + max_sleep
    ready: Sized = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    while ready and time.monotonic() < end:
        await asyncio.sleep(0)


textual.app.wait_for_idle = textual.pilot.wait_for_idle = wait_for_idle  # type: ignore[attr-defined]


@pytest.fixture
def answers() -> QuickAnswers:
    return QuickAnswers()


async def until(pilot: Any, holds: Callable[[], object], limit: float = 20.0) -> None:
    """Lets the app go on until something holds, and then until it has nothing left to do."""
    end = time.monotonic() + limit
    while True:
        try:
            if holds():
                await pilot.pause()
                return
        except (LookupError, NoMatches):  # not yet in a list, or on the screen
            pass
        if time.monotonic() > end:
            raise AssertionError(f"still not so after {limit} s; the screen:\n{shown(pilot.app)}")
        await pilot.pause(POLL_SECONDS)


async def resize(pilot: Any, width: int, height: int) -> None:
    """Gives the terminal another size, and waits until the screen is laid out for it."""
    await pilot.resize_terminal(width, height)
    await until(pilot, lambda: pilot.app.screen._compositor.size == (width, height))


def shown(app: Any) -> str:
    """What stands on the screen, as text."""
    size = app.size
    lines = app.screen._compositor.render_strips(size)
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in lines)


def notices(app: Any) -> list[str]:
    """The notices on the screen, as text."""
    return [str(each.message) for each in app._notifications]


@pytest.fixture(autouse=True)
def estimates(monkeypatch: pytest.MonkeyPatch) -> QuickEstimates:
    """The form's estimating process, without a process."""
    quick = QuickEstimates()
    monkeypatch.setattr(estimator, "make_process", lambda: quick)
    return quick


@pytest.fixture(autouse=True)
def left_on(request: pytest.FixtureRequest, home: Path) -> None:
    """The app opens on the screen that a file of tests is about, its `LEFT_ON`, as if a person had left it there: a
    test need not draw Ask first."""
    name = getattr(request.module, "LEFT_ON", "")
    if name:
        (home / FILE).write_bytes(encode_json(KeptState(screen=name)))


@pytest.fixture(autouse=True)
def parsed_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Style sheets are parsed once for all apps of this process, not by each app anew."""

    def parse_rules(sheet: Stylesheet, css: str, *details: Any, **more: Any) -> Any:
        key = (css, details, frozenset(more.items()), frozenset(sheet._variables.items()))
        if key not in PARSED:
            PARSED[key] = PARSE_RULES(sheet, css, *details, **more)
        return PARSED[key]

    monkeypatch.setattr(Stylesheet, "_parse_rules", parse_rules)


@pytest.fixture(autouse=True)
def benchmark_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark's questions are read once for all apps of this process."""
    monkeypatch.setattr(easy_vqa, "read_questions", READ_QUESTIONS)


Wait = Callable[[Any, Callable[[], object]], Awaitable[None]]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """An image of a person's own."""
    from PIL import Image

    path = tmp_path / "my picture.png"
    Image.new("RGB", (30, 20), "orange").save(path)
    return path
