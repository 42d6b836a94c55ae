"""Tells the person how a run goes: a command of theirs, started when the run ends, fails, or raises an alert.

The command is the run's own (`about.toml`) or the home's (`notify = "…"` in `$LOOPTOP_HOME/settings.toml`). It is
started by the run's process, in a session of its own, by a thread of its own: a command that hangs, fails or does not
exist costs the run nothing. What it prints goes into the run's log. Watchers ring the terminal's bell themselves.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from pathlib import Path

from looptop.engine.encoding import parse_toml
from looptop.engine.errors import UNREADABLE, LooptopError, error_text
from looptop.engine.files.private import append_private, read_regular, who_else_writes
from looptop.engine.home import home
from looptop.engine.journal.causes import Cause, Hold, HoldReason
from looptop.engine.journal.records import RunState
from looptop.engine.journal.writer import Listener
from looptop.engine.runs.about import load_about, read_about
from looptop.engine.runs.origins import is_allowed
from looptop.engine.text import visible

LONGEST = 2000
"""Characters of a reason or a title that the command is given."""

ALERTS = frozenset({"alert", "breakpoint"})
"""Kinds of events that are told."""

SETTINGS = "settings.toml"
"""What holds for all runs of a home."""

# A condition that holds at every step must not start a command at every step.
_PAUSE = 10.0
_PATIENCE = 2.0


class Notifier(Listener):
    """Starts the command.

    Args:
        folder: The run's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._agreed = read_about(folder).notify
        """The run's own command as it was when the run was started, which asks about a stranger's."""
        self._last: dict[str, float] = {}
        self._threads: list[threading.Thread] = []

    def on_state(self, state: RunState, reason: str, cause: Cause | None) -> None:
        """Tells that a breakpoint was hit."""
        if hit_breakpoint(cause):
            self.on_event("breakpoint", reason, "info")

    def on_event(self, kind: str, text: str, level: str) -> None:
        """Tells an event that is worth it; of one kind, at most one every ten seconds."""
        if kind not in ALERTS:
            return
        now = time.monotonic()
        if now - self._last.get(kind, float("-inf")) >= _PAUSE:
            self._last[kind] = now
            self.tell(kind, text)

    def tell(self, what: str, reason: str = "") -> None:
        """Starts the command, if there is one, without waiting for it.

        Args:
            what: `finished`, `stopped`, `failed`, `alert` or `breakpoint`.
            reason: Why, in a sentence.
        """
        thread = threading.Thread(target=self._start, args=(what, reason), name="notify", daemon=True)
        with contextlib.suppress(RuntimeError):  # no thread to be had: then nothing is told
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Waits until what was told is on its way, for two seconds at most."""
        end = time.monotonic() + _PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _start(self, what: str, reason: str) -> None:
        log_file = self._folder / "log.txt"
        try:
            command = command_for(self._folder, self._agreed)
        except LooptopError as error:
            with contextlib.suppress(OSError), append_private(log_file) as log:
                log.write(f"no command is told of this ({what}): {visible(error)}\n".encode())
            return
        if not command:
            return
        about = read_about(self._folder)
        environment = os.environ | {
            "LOOPTOP_RUN": self._folder.name,
            "LOOPTOP_TITLE": _environment_text(about.title),
            "LOOPTOP_EVENT": what,
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
            except (OSError, ValueError) as error:  # too long a command
                log.write(f"the notify command cannot be started: {error_text(error)}\n".encode())
                return
            # Its exit is read, or it would stay a zombie as long as the run lives.
            threading.Thread(target=process.wait, name="notify wait", daemon=True).start()


def _environment_text(text: str) -> str:
    """At most so much as a program can be started with."""
    text = _argument(text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _argument(text: str) -> str:
    """Without NUL and halves of characters, which no program can be given; other bytes stay as they are."""
    text = text.replace("\0", " ")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return visible(text, keep_lines=True)
    return text


def hit_breakpoint(cause: Cause | None) -> bool:
    """Whether a run is held by a breakpoint, and not by a person."""
    return isinstance(cause, Hold) and cause.reason is HoldReason.BREAKPOINT


def command_for(folder: Path, agreed: str = "") -> str:
    """The command of a run: its own, or the home's; empty where there is none.

    Args:
        folder: The run's.
        agreed: A command of the run's own that a person has agreed to, though this home may not have put it there.

    Raises:
        LooptopError: A file that may name one is damaged or cannot be read, or somebody else could have written it.
    """
    if own := load_about(folder).notify:
        in_home = folder.parent == home() / "runs"
        _refuse_others(*([folder.parent] if in_home else []), folder, folder / "about.toml")
        if own != agreed and not is_allowed(folder, own):
            raise LooptopError(
                f"the command to notify in {visible(folder / 'about.toml')} was not put there by this home; read it,"
                " and set it with `looptop notify`"
            )
        return own
    path = home() / SETTINGS
    try:
        command = parse_toml(read_regular(path, follow_links=True)).get("notify", "")
    except FileNotFoundError:
        return ""
    except LooptopError:
        raise
    except OSError as error:
        raise LooptopError(f"cannot read {visible(path)}: {error.strerror}") from None
    except UNREADABLE as error:
        raise LooptopError(f"cannot read {visible(path)}: {visible(error)}; mend or remove the file") from None
    if not isinstance(command, str):
        raise LooptopError(f"cannot read {visible(path)}: notify must be a command in quotes")
    if command:
        _refuse_others(home(), path)
    return command


def _refuse_others(*paths: Path) -> None:
    for path in paths:
        if why := who_else_writes(path):
            raise LooptopError(f"the command to notify is not started: {why}")
