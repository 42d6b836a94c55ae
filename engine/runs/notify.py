"""Starts a person's notify command when a run ends, fails, raises an alert or hits a breakpoint.

The command is the run's own (`about.toml`) or the home's (`notify = "…"` in `$LOOPTOP_HOME/settings.toml`). A thread of
the run's process starts it in a session of its own, so a command that hangs, fails or does not exist does not disturb
the run. Its output goes into the run's log.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from pathlib import Path

from looptop.engine.errors import LooptopError, error_text
from looptop.engine.files.private import append_private, who_else_writes
from looptop.engine.home import home
from looptop.engine.home_settings import read_home_settings, settings_path
from looptop.engine.journal.causes import Cause, Hold, HoldReason
from looptop.engine.journal.records import RunState
from looptop.engine.journal.writer import Listener
from looptop.engine.runs.about import load_about, read_about
from looptop.engine.runs.origins import is_allowed
from looptop.engine.text import visible

MAX_TEXT_LENGTH = 2000
"""The longest reason or title that the command receives, in characters."""

ALERTS = frozenset({"alert", "breakpoint"})
"""The kinds of events that start the command."""

# A condition that holds at every step must not start a command at every step.
_SECONDS_BETWEEN_ALERTS = 10.0
_CLOSE_SECONDS = 2.0


class Notifier(Listener):
    """Starts the notify command of a run.

    Args:
        folder: The run's folder.
        of_alerts: Whether to start it for alerts.
    """

    def __init__(self, folder: Path, *, of_alerts: bool = True) -> None:
        self._folder = folder
        self._of_alerts = of_alerts
        self._agreed = read_about(folder).notify
        """The run's own command as it was at the start, when a person was asked about a stranger's."""
        self._last: dict[str, float] = {}
        self._threads: list[threading.Thread] = []

    def on_state(self, state: RunState, reason: str, cause: Cause | None) -> None:
        """Starts the command if a breakpoint was hit."""
        if hit_breakpoint(cause):
            self.on_event("breakpoint", reason, "info")

    def on_event(self, kind: str, text: str, level: str) -> None:
        """Starts the command for an alert; at most once in ten seconds for each kind."""
        if kind not in ALERTS or (kind == "alert" and level != "error" and not self._of_alerts):
            return
        now = time.monotonic()
        if now - self._last.get(kind, float("-inf")) >= _SECONDS_BETWEEN_ALERTS:
            self._last[kind] = now
            self.notify(kind, text)

    def notify(self, event: str, reason: str = "") -> None:
        """Starts the command, if there is one, without waiting for it.

        Args:
            event: `finished`, `stopped`, `failed`, `alert` or `breakpoint`.
            reason: Why, in a sentence.
        """
        thread = threading.Thread(target=self._start, args=(event, reason), name="notify", daemon=True)
        with contextlib.suppress(RuntimeError):  # no thread can be started: the command is skipped
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Waits until the commands are started, for two seconds at most."""
        end = time.monotonic() + _CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _start(self, event: str, reason: str) -> None:
        log_file = self._folder / "log.txt"
        try:
            command = command_for(self._folder, self._agreed)
        except LooptopError as error:
            with contextlib.suppress(OSError), append_private(log_file) as log:
                log.write(f"the notify command was not started for this event ({event}): {visible(error)}\n".encode())
            return
        if not command:
            return
        about = read_about(self._folder)
        environment = os.environ | {
            "LOOPTOP_RUN": self._folder.name,
            "LOOPTOP_TITLE": _environment_text(about.title),
            "LOOPTOP_EVENT": event,
            "LOOPTOP_REASON": _environment_text(reason),
            "LOOPTOP_FOLDER": str(self._folder),
        }
        with contextlib.suppress(OSError), append_private(log_file) as log:
            try:
                process = subprocess.Popen(
                    ["/bin/sh", "-c", _argument(command)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env=environment,
                )
            except (OSError, ValueError) as error:  # the command is too long
                log.write(f"the notify command cannot be started: {error_text(error)}\n".encode())
                return
            # Waits for its exit, or it would stay a zombie while the run lives.
            threading.Thread(target=process.wait, name="notify wait", daemon=True).start()


def _environment_text(text: str) -> str:
    """The text, shortened to what an environment variable can hold."""
    text = _argument(text)
    return text if len(text) <= MAX_TEXT_LENGTH else f"{text[: MAX_TEXT_LENGTH - 1]}…"


def _argument(text: str) -> str:
    """The text without NUL and lone surrogates, which no argument can hold; bytes that are not UTF-8 are kept."""
    text = text.replace("\0", " ")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return visible(text, keep_lines=True)
    return text


def hit_breakpoint(cause: Cause | None) -> bool:
    """Whether a run is held by a breakpoint."""
    return isinstance(cause, Hold) and cause.reason is HoldReason.BREAKPOINT


def command_for(folder: Path, agreed: str = "") -> str:
    """The notify command of a run: its own, or the home's; empty if there is none.

    Args:
        folder: The run's folder.
        agreed: A command of the run's own that a person has agreed to, even if this home did not set it.

    Raises:
        LooptopError: A file that could name a command is damaged, cannot be read, or can be written by others.
    """
    if own := load_about(folder).notify:
        in_home = folder.parent == home() / "runs"
        _refuse_others(*([folder.parent] if in_home else []), folder, folder / "about.toml")
        if own != agreed and not is_allowed(folder, own):
            raise LooptopError(
                f"the notify command in {visible(folder / 'about.toml')} was not set by this home; read it, then set it"
                " with `looptop notify`"
            )
        return own
    file = read_home_settings()
    for problem in file.problems:
        if problem.key in ("", "notify"):
            raise LooptopError(problem.sentence)
    if file.settings.notify:
        _refuse_others(home(), settings_path())
    return file.settings.notify


def _refuse_others(*paths: Path) -> None:
    for path in paths:
        if why := who_else_writes(path):
            raise LooptopError(f"the notify command is not started: {why}")
