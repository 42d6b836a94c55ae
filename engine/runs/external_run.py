"""A run that is trained by somebody else's program: by a Trainer with our callback, or by a loop of its own.

Like every run it has a folder, a lock, a journal, a gate for controls, and a notify command.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import shutil
from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from looptop.engine.errors import LooptopError
from looptop.engine.files.lock import RunLock
from looptop.engine.files.private import touch_private
from looptop.engine.journal.causes import Stop, StopReason, cause_text
from looptop.engine.journal.records import RunState
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs.about import LONGEST_TITLE, write_about
from looptop.engine.runs.alerts import Alerts
from looptop.engine.runs.alerts.reaction import AlertReaction, OnAlert
from looptop.engine.runs.context import append_to_log
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.gate import Gate
from looptop.engine.runs.notify import Notifier
from looptop.engine.runs.run_log import RunLog
from looptop.engine.text import join_text, visible

_log = logging.getLogger("looptop.external_run")

LONGEST_REASON = 500
"""The longest reason why a run failed, in characters."""


class ExternalRun:
    """A run of kind `trainer`, live until `end` is called.

    Args:
        name: Its title; empty for none.
        arguments: The arguments of the training, for the run's configuration.
        facts: Facts about the run, for its journal.
        on_alert: What an alert does: `continue`, `notify`, `pause` or `stop`.

    Raises:
        LooptopError: There is no such `on_alert`; the run's folder cannot be made, locked or written.
    """

    def __init__(
        self, name: str, arguments: Mapping[str, Any], facts: Mapping[str, Any], on_alert: OnAlert = "notify"
    ) -> None:
        if on_alert not in get_args(OnAlert):
            raise LooptopError(f"on_alert is '{visible(on_alert)}'; it must be {join_text(get_args(OnAlert), 'or')}")
        self.folder = RunFolder.create("trainer", {"kind": "trainer", "name": name, "arguments": dict(arguments)})
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, self.folder.path, ignore_errors=True)
            self._lock = RunLock(self.folder.lock, self.folder.id).acquire()
            undo.callback(self._lock.release)
            self.journal = JournalWriter(self.folder.db)
            undo.callback(self.journal.close)
            self.gate, self._notifier = (
                Gate(self.folder, self.journal),
                Notifier(self.folder.path, of_alerts=on_alert != "continue"),
            )
            undo.callback(self._notifier.close)
            with contextlib.suppress(OSError):
                touch_private(self.folder.log)
            self.journal.listeners = [
                RunLog(functools.partial(append_to_log, self.folder)),
                self._notifier,
                AlertReaction(self.gate, on_alert),
                Alerts(self.journal, "trainer"),
            ]
            self.journal.facts(name=name, **facts)
            self.journal.state(RunState.RUNNING)
            undo.pop_all()
        if title := " ".join(name.split())[:LONGEST_TITLE]:
            try:
                write_about(self.folder.path, title=title)
            except (LooptopError, OSError) as error:
                _log.warning("%s has no title: %s", self.folder.id, error)

    def end(self, error: BaseException | None = None) -> None:
        """Ends the run: as stopped if a stop was requested, else as finished.

        Args:
            error: The exception that ended the training. The run then counts as failed, or as stopped for Ctrl-C.
        """
        stop = msgspec.structs.replace(self.gate.why_stopped(), checkpoint=None)
        if isinstance(error, KeyboardInterrupt):
            detail = "stopped by the keyboard"
            self._end(RunState.STOPPED, msgspec.structs.replace(stop, reason=StopReason.IMMEDIATE, detail=detail))
        elif error is not None:
            self._end(RunState.FAILED, visible(f"{type(error).__name__}: {error}")[:LONGEST_REASON])
        elif self.gate.stop_requested.is_set():
            self._end(RunState.STOPPED, stop)
        else:
            self._end(RunState.FINISHED, "")

    def end_unexplained(self) -> None:
        """Ends the run as failed, because it is unknown how its training ended."""
        self._end(RunState.FAILED, "it is unknown how the training ended")

    def _end(self, state: RunState, why: str | Stop) -> None:
        reason = why if isinstance(why, str) else cause_text(why)
        with contextlib.ExitStack() as ends:
            ends.callback(self._notifier.close)
            ends.callback(self._notifier.notify, str(state), reason)
            ends.callback(self._lock.release)
            ends.callback(self.journal.close)
            ends.callback(self.gate.end)
            self.journal.state(state, why)
