"""The thread that trains a run: the same class in the engine process and, from Python, in the caller's process.

It holds the run's lock and journal from beginning to end, and turns every way in which training can end into a state
with a reason. A process trains one run at a time, since device, random numbers and signals belong to the process.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from looptop.engine.compute.out_of_memory import is_out_of_memory, release_memory
from looptop.engine.config import RunConfig, to_dict
from looptop.engine.errors import MAX_ERROR_LENGTH, LooptopError, error_text
from looptop.engine.files.lock import RunLock
from looptop.engine.files.private import touch_private
from looptop.engine.files.replacing import remove_old_drafts
from looptop.engine.journal.causes import Stop, StopReason, cause_text
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs import checkpoint
from looptop.engine.runs.alerts import Alerts
from looptop.engine.runs.alerts.reaction import AlertReaction
from looptop.engine.runs.context import RunContext, RunStoppedError, Train, out_of_memory_reason
from looptop.engine.runs.folder import AFTER_FACT, RunFolder
from looptop.engine.runs.gate import Gate
from looptop.engine.runs.gate import StepVerdict as StepVerdict
from looptop.engine.runs.liveness import what_slows
from looptop.engine.runs.notify import Notifier
from looptop.engine.runs.run_log import RunLog
from looptop.engine.startup.changes import changed_config, changes_of
from looptop.engine.startup.kinds import training_of
from looptop.engine.text import visible

QUEUE_SECONDS = 0.5
"""How often a queued run checks whether the other one has ended."""

DISK_CHECK_SECONDS = 0.5
"""How often to check whether a full disk has room again."""

_one_run = threading.Lock()


class RunThread(threading.Thread):
    """Trains one run to its end.

    The constructor takes the lock and opens the journal, so that the caller gets errors in these immediately.

    Args:
        folder: The run.
        train: The function that trains; by default that of the run's kind.
        resume: Resume from the newest complete checkpoint.
        settings: Changes of the configuration for a resume, as `key=value`.
        after: Train once this run has ended.
        lock: The run's lock, if it is held already.
        keep_log: Write the libraries' log messages into the run's log; not needed if all output goes there anyway.

    Raises:
        LooptopError: Another run trains in this process, this run is live, or its folder cannot be used.
    """

    def __init__(
        self,
        folder: RunFolder,
        train: Train | None = None,
        *,
        resume: bool = False,
        settings: Sequence[str] = (),
        after: RunFolder | None = None,
        lock: RunLock | None = None,
        keep_log: bool = True,
    ) -> None:
        super().__init__(name=folder.id)
        self.folder = folder
        self.state = RunState.CREATED
        self.reason = ""
        self.result: dict[str, Any] = {}
        self.ended = threading.Event()
        """Set when everything is written and released. Wait for this, not with `join`: if ctrl-C interrupts it, the
        `join` of Python 3.11 takes a running thread for an ended one."""
        self.lost = ""
        """Why a companion of the run ended too early; empty if none did."""
        self._train = train
        self._resume = resume
        self._after = after
        self._changes: dict[str, tuple[str, str]] = {}
        self._ran_out_of_memory = False
        self._keep_log = keep_log
        if not _one_run.acquire(blocking=False):
            raise LooptopError(
                "another run trains in this process; wait for it, or use launch() for a process of its own"
            )
        try:
            folder.refuse_unsafe()
            config = folder.config()
            self._lock = lock or RunLock(folder.lock, folder.id).acquire()
            try:
                if settings:
                    config = self._change(config, settings)
                for below in (folder.path, folder.controls):
                    remove_old_drafts(below)
                self.journal = JournalWriter(folder.db)
                touch_private(folder.log)
            except OSError as error:
                self._lock.release()
                raise LooptopError(f"cannot write {visible(folder.log)}: {error.strerror}") from None
            except BaseException:
                self._lock.release()
                raise
        except BaseException:
            _one_run.release()
            raise
        on_alert = config.training.on_alert
        self._notifier = Notifier(folder.path, of_alerts=on_alert != "continue")
        gate = Gate(folder, self.journal, checkpoint_seconds=60 * config.training.save_minutes)
        self.context = RunContext(folder, config, self.journal, gate)
        self._alerts = self.context.alerts = Alerts(self.journal, config.kind, lambda: what_slows(folder))
        self.journal.listeners = [
            RunLog(self.context.log), self._notifier, AlertReaction(gate, on_alert), self._alerts,
        ]  # fmt: skip

    def run(self) -> None:
        """Trains, and journals how the run ended."""
        try:
            with _logging_to(self.folder.log) if self._keep_log else contextlib.nullcontext():
                if self._after is not None:
                    self._wait_for(self._after)
                if self._after is not None and self.context.stop_requested.is_set():
                    self._set(RunState.STOPPED, self.context.gate.why_stopped())
                else:
                    self._set(RunState.RUNNING)
                    self._set(*self._outcome())
        finally:
            try:
                self.context.gate.end()
                self.context.gate.detach()
                release_memory(thoroughly=self._ran_out_of_memory)
                _make_private(self.folder.path)
                self._wait_for_room()
                if not self.journal.close():
                    self.context.log("the journal could not be written completely; is the disk full?")
            finally:
                self._lock.release()
                _one_run.release()
                # After everything else, so that the notify command sees the ended run and may even resume it.
                self._notifier.notify(str(self.state), self.reason)
                self._notifier.close()
                self.ended.set()

    def _wait_for_room(self) -> None:
        """Waits while the disk is full, until it is written how the run ended, or until a further stop is asked for."""
        gate = self.context.gate
        stops = gate.stops
        while not self.journal.flush(DISK_CHECK_SECONDS) and self.journal.waits_for_disk and gate.stops == stops:
            gate.end()

    def end_now(self, state: RunState, why: str | Stop) -> None:
        """Journals how the run ended; called by another thread that then exits the process without waiting."""
        self._set(state, why)
        self.journal.close(timeout=2.0)
        self._notifier.notify(str(state), self.reason)
        self._notifier.close()

    def _change(self, config: RunConfig, settings: Sequence[str]) -> RunConfig:
        """Writes the changed configuration into the run's folder."""
        changed = changed_config(self.folder, settings)
        self._changes = changes_of(config, changed)
        if self._changes:
            self.folder.write_settings(to_dict(changed))
        return changed

    def _wait_for(self, other: RunFolder) -> None:
        """Waits until another run has ended in whatever way, or until this one is stopped.

        If the other one was taken out of the queue, its turn is this one's: it waits for the run ahead of it.
        """
        ahead: RunFolder | None = other
        while ahead is not None:
            other = ahead
            self.journal.facts(**{AFTER_FACT: other.name})
            text = f"waits for {visible(other.name)} to end"
            self.journal.event("queue", text)
            self._set(RunState.QUEUED, text)
            while other.is_live() and not self.context.gate.stop_is_wanted():
                self.context.stop_requested.wait(QUEUE_SECONDS)
            if self.context.stop_requested.is_set():
                return
            ahead = _ahead_of(other)
        self.journal.event("queue", f"{visible(other.name)} has ended: training begins")

    def _outcome(self) -> tuple[RunState, str | Stop]:
        try:
            self.context.gate.discard_before(self._lock.started)
            if self._resume:
                self._prepare_resume()
            if self._train is None:
                self.context.report("loading PyTorch and transformers")
            train = self._train or training_of(self.context.config.kind)
            with self._all_processes():
                self.result = train(self.context)
            self.journal.facts(result=self.result)
        except RunStoppedError:
            return RunState.STOPPED, self.context.gate.why_stopped()
        except LooptopError as error:
            return self._failed(error, visible(error))
        except KeyboardInterrupt:
            return RunState.STOPPED, Stop(StopReason.IMMEDIATE, detail="stopped by the keyboard")
        except SystemExit as error:
            return self._failed(error, f"the training code left with exit code {visible(error.code)}")
        except BaseException as error:
            self._ran_out_of_memory = is_out_of_memory(error)
            reason = out_of_memory_reason(error, self.context) if self._ran_out_of_memory else _one_line(error)
            return self._failed(error, reason)
        if self.context.stop_requested.is_set():
            return RunState.STOPPED, self.context.gate.why_stopped()
        return RunState.FINISHED, ""

    @contextlib.contextmanager
    def _all_processes(self) -> Iterator[None]:
        """Starts the run's other processes, if it has any; they live as long as the block runs."""
        training = self.context.config.training
        if training.processes == 1:
            yield
            return
        from looptop.engine.startup.companions import with_companions  # imports torch

        with with_companions(self.folder, training.processes, training.device, self._lose) as processes:
            self.context.gate.processes = processes
            self.context.share_resume_point()
            yield

    def _lose(self, why: str) -> None:
        self.lost = why

    def _prepare_resume(self) -> None:
        """Chooses the checkpoint to resume from, and marks what was journalled after it as superseded."""
        newest = checkpoint.newest_complete(self.folder.checkpoints, self.journal)
        self.context.resume_from = newest
        step = checkpoint.step_of(newest) if newest else -1
        self.context.gate.begin_at(max(step, 0))
        self._alerts.replay(Journal(self.folder.db), step)
        self.journal.discard_after(step)
        for key, (old, new) in self._changes.items():
            self.journal.event("settings", f"{key}: {old or 'none'} before, {new or 'none'} from here on")
        self.journal.event(
            "resume", f"resumes from {newest.name}" if newest else "starts from the beginning: there is no checkpoint"
        )

    def _failed(self, error: BaseException, reason: str) -> tuple[RunState, str]:
        self.context.log("".join(traceback.format_exception(error)))
        self.journal.event("failed", reason, level="error")
        return RunState.FAILED, reason

    def _set(self, state: RunState, why: str | Stop = "") -> None:
        self.state, self.reason = state, why if isinstance(why, str) else cause_text(why)
        self.journal.state(state, why)


def _ahead_of(run: RunFolder) -> RunFolder | None:
    """The run that an ended one was still waiting for; None if it had begun, or waited for none that still exists."""
    with contextlib.suppress(LooptopError):  # It may be deleted meanwhile.
        outline = Journal(run.db).outline()
        if outline.started is None and (name := outline.facts.get(AFTER_FACT)):
            # An id is that of a run beside it: it may wait in another home, where ids mean other runs.
            return RunFolder.named(str(run.path.parent / str(name)))
    return None


def _one_line(error: BaseException) -> str:
    name, text = type(error).__name__, error_text(error)
    return (name if text == name else f"{name}: {text}")[:MAX_ERROR_LENGTH]


@contextlib.contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Writes log messages into the run's log as well while the block runs; the caller's own output does not change."""
    # By default these libraries do not pass their messages on to the root logger.
    apart = ("transformers", "datasets")
    handlers = []
    for names in (("",), apart):
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        if names != apart:
            handler.addFilter(lambda record: record.name.partition(".")[0] not in apart)
        handlers += [(logging.getLogger(name), handler) for name in names]
    for logger, handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger, handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def _make_private(folder: Path) -> None:
    """Removes other users' access to files that libraries wrote with the caller's own umask."""
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if not path.is_symlink():
                path.chmod(0o700 if path.is_dir() else 0o600)
