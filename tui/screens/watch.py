"""How a screen follows runs: a loop that reads while the screen is shown, and a reader of one run's journal."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Event, Journal, Outline
from looptop.engine.runs.folder import RunFolder
from looptop.tui.background import work
from looptop.tui.screens.base import BaseScreen

RUNS_INTERVAL = 2.0
"""Seconds between two readings of all runs."""
RUNS_LOAD = 0.1
"""The largest fraction of the time that reading all runs may take: a home may hold thousands on a slow disk."""

HURRY_SECONDS, HURRY_DURATION = 0.1, 2.0
"""Seconds between two reads after `WatchLoop.hurry`, and for how many seconds."""


class WatchLoop:
    """Reads every `interval` seconds while its screen is selected, and immediately when poked.

    Args:
        screen: The screen.
        read: Reads and shows; returns False if it had nothing to read.
        show_error: Receives the sentence of a LooptopError that `read` raises, and an empty one once a later read
            succeeds.
        interval: Seconds between two reads.
        most_load: The largest fraction of the time that reading may take; slow reads become less frequent.
    """

    def __init__(
        self,
        screen: BaseScreen[Any],
        read: Callable[[], Awaitable[bool]],
        show_error: Callable[[str], object],
        interval: float = 1.0,
        most_load: float = 1.0,
    ) -> None:
        self._screen = screen
        self._read = read
        self._show_error = show_error
        self._interval = interval
        self._most_load = most_load
        self._poked = asyncio.Event()
        self._hurry_until = 0.0

    def start(self) -> None:
        """Starts the loop, as a worker of the screen."""
        self._poked.set()
        work(self._screen, self._run(), f"watch {id(self)}")

    def poke(self) -> None:
        """Reads now."""
        self._poked.set()

    def hurry(self) -> None:
        """Reads now, and more often for a while."""
        self._hurry_until = time.monotonic() + HURRY_DURATION
        self._poked.set()

    async def _run(self) -> None:
        failed, pause = False, self._interval
        while True:
            wait = HURRY_SECONDS if time.monotonic() < self._hurry_until else pause
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._poked.wait(), wait)
            await asyncio.sleep(0)  # From Python 3.12 on, wait_for may not: pokes of one moment are one read.
            self._poked.clear()
            if not self._screen.is_selected:
                continue
            began = time.monotonic()
            try:
                if await self._read() and failed:
                    self._show_error("")
                    failed = False
            except LooptopError as error:
                self._show_error(str(error))
                failed = True
            if self._most_load < 1:
                pause = max(self._interval, (time.monotonic() - began) / self._most_load)


class RunWatcher:
    """Reads one run's journal repeatedly, and only what has changed.

    May be called from any thread, but from one at a time.

    Args:
        run: The run.
        journal: Its journal.
        events_kept: How many events to keep, the last ones.
    """

    def __init__(self, run: RunFolder, journal: Journal, events_kept: int = 200) -> None:
        self.run = run
        self.events: tuple[Event, ...] = ()
        """The last events, the newest last."""
        self._reader = journal
        self._events_kept = events_kept
        self._version = -1
        self._outline: Outline | None = None
        self._settings: dict[str, Any] | None = None
        self._last_event = 0

    @property
    def settings(self) -> dict[str, Any]:
        """The run's configuration as plain data; empty if it cannot be read."""
        if self._settings is None:
            self._settings = {}
            with contextlib.suppress(LooptopError):
                self._settings = self.run.settings()
        return self._settings

    def refresh(self) -> tuple[int, Outline]:
        """Reads what has changed.

        Returns:
            The journal's version, which grows with everything that the run writes, and its outline.

        Raises:
            LooptopError: The journal cannot be read.
        """
        version = self._reader.version()
        if version != self._version or self._outline is None:
            self._outline = self._reader.outline()
            fresh = self._reader.events(self._last_event)
            if fresh:
                self._last_event = fresh[-1].id
                self.events = (self.events + tuple(fresh))[-self._events_kept :]
            self._version = version
        return version, self._outline
