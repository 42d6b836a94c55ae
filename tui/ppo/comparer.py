"""Compares a run's model before and after training in a child process (`looptop compare RUN`), and reads the result."""

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
"""The command that compares; the run's folder is appended."""


class ComparisonEnd(NamedTuple):
    """The end of a child process."""

    is_kept: bool
    """Whether it has saved a new result."""
    last_line: str
    """The last line that it printed."""


class Comparer:
    """Reads the result of a comparison, and starts comparisons.

    Args:
        on_news: Called in the event loop when there is something new to show.
    """

    def __init__(self, on_news: Callable[[], None]) -> None:
        self._on_news = on_news
        self._run: RunFolder | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._is_comparing = False
        self.result: CompareResult | None = None
        self.doing = ""
        """A sentence about the running comparison, or why it failed."""

    def attach(self, run: RunFolder) -> None:
        """Switches to another run."""
        self._run, self.result, self.doing = run, None, ""

    def read_result(self) -> None:
        """Reads the run's result, if it has one."""
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
        """Starts the comparison, unless it is running.

        Args:
            trust: Whether a person has agreed to what the run would start.
        """
        run = self._run
        if run is None or self._is_comparing:
            return
        self._is_comparing = True
        command = [*PROGRAM, str(run.path), *(["--trust"] if trust else [])]
        self.doing = f"comparing {run.id} with its reference…"
        self._on_news()

        def done(future: asyncio.Future[ComparisonEnd]) -> None:
            self._child, self._is_comparing = None, False
            if self._closed or run is not self._run:
                return
            end = future.result()
            self.doing = "" if end.is_kept else end.last_line
            self.read_result()

        in_thread(lambda: self._compare(command, run)).add_done_callback(done)

    def _compare(self, command: Sequence[str], run: RunFolder) -> ComparisonEnd:
        """Runs the process, and waits until it exits."""
        before = before_after.file_version(run.path)
        try:
            self._child = child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            return ComparisonEnd(False, f"the comparison cannot be started: {error.strerror}")
        if self._closed:
            child.kill()
        _, stderr = child.communicate()
        lines = [line for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        last = lines[-1].removeprefix("looptop: ") if lines else f"it ended with exit code {child.returncode}"
        # A result that could not be saved is only printed, so there is no new one to show.
        return ComparisonEnd(child.returncode == 0 and before_after.file_version(run.path) != before, visible(last))

    def close(self) -> None:
        """Ends the child process."""
        self._closed = True
        if self._child is not None:
            self._child.kill()
