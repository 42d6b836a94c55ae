"""Before and after: the result in a run's folder, and the child process that makes one (`looptop compare RUN`)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from looptop.engine.errors import LooptopError
from looptop.engine.ppo import before_after
from looptop.engine.ppo.before_after import CompareResult
from looptop.engine.runs.folder import RunFolder
from looptop.engine.text import visible
from looptop.tui.background import in_thread

PROGRAM: Sequence[str] = (sys.executable, "-P", "-m", "looptop.engine", "compare")
"""What compares; it gets the run's folder behind it."""


class Ended(NamedTuple):
    """How a child process ended."""

    code: int
    last_line: str


class Comparer:
    """Reads results and has them made.

    Args:
        on_news: Called in the event loop when there is something new to show.
        program: What compares.
    """

    def __init__(self, on_news: Callable[[], None], program: Sequence[str] | None = None) -> None:
        self._on_news = on_news
        self._program = program
        self._run: RunFolder | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False
        self.result: CompareResult | None = None
        self.doing = ""
        """What is being done, or why it failed."""

    def attach(self, run: RunFolder) -> None:
        """Another run's."""
        self._run, self.result, self.doing = run, None, ""

    def read_result(self) -> None:
        """Reads the result that the run has."""
        run = self._run
        if run is None:
            return

        def done(future: asyncio.Future[CompareResult | None]) -> None:
            if self._closed or run is not self._run:
                return
            try:
                self.result = future.result()
            except LooptopError as error:
                self.doing = str(error)
            self._on_news()

        in_thread(lambda: before_after.load(run.path)).add_done_callback(done)

    def begin(self, *, trust: bool = False) -> None:
        """Has the comparison made, unless it is being made.

        Args:
            trust: A person has agreed to what the run would start.
        """
        run = self._run
        if run is None or self._child is not None:
            return
        try:
            self._child = child = subprocess.Popen(
                [*(self._program or PROGRAM), str(run.path), *(["--trust"] if trust else [])],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            self.doing = f"the comparison cannot be started: {error.strerror}"
            self._on_news()
            return
        self.doing = f"comparing {run.id} with its reference…"
        self._on_news()
        before = before_after.written(run.path)

        def done(future: asyncio.Future[Ended]) -> None:
            self._child = None
            if self._closed or run is not self._run:
                return
            ended = future.result()
            # A result that could not be kept is only printed, and there is no new one to show.
            kept = ended.code == 0 and before_after.written(run.path) != before
            self.doing = "" if kept else ended.last_line
            self.read_result()

        in_thread(lambda: _wait(child)).add_done_callback(done)

    def close(self) -> None:
        """Ends the child process."""
        self._closed = True
        if self._child is not None:
            self._child.kill()


def _wait(child: subprocess.Popen[bytes]) -> Ended:
    """Waits until it ends; returns the exit code and the last line that it printed."""
    _, last_line = child.communicate()
    lines = [line for line in last_line.decode("utf-8", "replace").splitlines() if line.strip()]
    last = lines[-1].removeprefix("looptop: ") if lines else f"it ended with exit code {child.returncode}"
    return Ended(child.returncode, visible(last))
