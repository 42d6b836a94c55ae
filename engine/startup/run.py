"""Runs from Python: starts a run in a worker thread of the caller's process, controls it and waits for it.

run = looptop.engine.start(looptop.engine.preset("tiny"))
run.wait()
print(run.result()["accuracy"])
"""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Sequence
from typing import Any

from looptop.engine.config import RunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.files.lock import RunLock, is_live_elsewhere
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs.context import Train
from looptop.engine.runs.control import Control, send
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.trust import require_trust
from looptop.engine.startup.changes import changed_config
from looptop.engine.startup.limits import refuse_impossible
from looptop.engine.startup.preflight import refuse_unusable_data
from looptop.engine.startup.sources import with_checked_sources
from looptop.engine.startup.worker import RunThread
from looptop.engine.text import visible


class Run:
    """A run that trains in this process. It continues if this object is dropped; the process waits for its end.

    `pause`, `continue_`, `step` and `checkpoint` send a request and return it without waiting: the run acts on it when
    its step ends, and journals its reply. They raise LooptopError if the run is not live.
    """

    def __init__(self, thread: RunThread) -> None:
        self.folder = thread.folder
        self.journal = Journal(self.folder.db)
        """Reads what the run has written."""
        self._thread = thread

    @property
    def id(self) -> str:
        """The run's id, such as `vqa-7`."""
        return self.folder.id

    @property
    def state(self) -> RunState:
        """The run's state."""
        return self._thread.state if self._thread.ended.is_set() else self.folder.state()

    @property
    def reason(self) -> str:
        """Why it failed or stopped."""
        return self._thread.reason

    def pause(self) -> Control:
        """Asks the run to pause at the end of its step."""
        return send(self.folder, "pause", by="python")

    def continue_(self) -> Control:
        """Asks a paused run to continue."""
        return send(self.folder, "continue", by="python")

    def step(self, to: str = "") -> Control:
        """Asks a run to make one step and then pause.

        Args:
            to: A stage of a PPO batch at which to pause instead: `generated`, `scored`, `compared` or `updated`, or
                `next` for the next one; empty for a whole step.
        """
        return send(self.folder, "step", by="python", to=to)

    def checkpoint(self) -> Control:
        """Asks the run to write a checkpoint at the end of the step, or immediately if it is paused."""
        return send(self.folder, "checkpoint", by="python")

    def stop(self, checkpoint: bool = True) -> None:
        """Asks the run to stop at the end of its step; does nothing if it has ended.

        Args:
            checkpoint: Whether it makes a checkpoint before it stops.
        """
        self._thread.context.request_stop(checkpoint=checkpoint)

    def wait(self, timeout: float | None = None) -> RunState:
        """Waits until the run has ended.

        Ctrl-C stops the run with a checkpoint; KeyboardInterrupt is raised when that is done. A second ctrl-C raises it
        immediately, and the run stops without a checkpoint when its step ends.

        Args:
            timeout: Wait at most this many seconds.

        Returns:
            The run's state; after a timeout, it may still be running.
        """
        try:
            self._thread.ended.wait(timeout)
        except KeyboardInterrupt:
            self._thread.context.request_stop()
            try:
                self._thread.ended.wait()
            except KeyboardInterrupt:
                self._thread.context.request_stop(checkpoint=False)
                raise
            raise
        return self.state

    def result(self) -> dict[str, Any]:
        """Waits for the end and returns the result.

        Returns:
            The seconds that it took; of a finished run also the `step` of its model and that model's figures, such as
            `accuracy` and `loss`, or `reward` and `kl` of a PPO run. A run that was stopped has fewer of them or none.

        Raises:
            LooptopError: The run failed; the message says why.
        """
        self.wait()
        if self._thread.state is RunState.FAILED:
            raise LooptopError(f"{self.id} failed: {self._thread.reason}")
        return self._thread.result


def start(config: RunConfig, train: Train | None = None, *, like: str | None = None) -> Run:
    """Starts a run in a worker thread of this process.

    From then on, closing the terminal does not end the process: SIGHUP is ignored, if it had its default handler and
    this is the main thread. The process still ends when the caller's code and the run have ended.

    Args:
        config: The run's configuration.
        train: The function that trains; by default that of the run's kind.
        like: The id of another run, from which a VQA run takes over the edits of training questions. Nothing else is
            taken over: all settings come from `config`.

    Raises:
        LooptopError: Another run trains in this process, something that the configuration names is missing, or the
            folder cannot be made.
    """
    folder = create_like(config, like)
    try:
        thread = RunThread(folder, train)
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)  # The run never started.
        raise
    _ignore_hangup()
    thread.start()
    return Run(thread)


def create_like(config: RunConfig, like: str | None) -> RunFolder:
    """Makes the folder of a new run.

    Args:
        config: The run's configuration; sources are checked.
        like: As for `start`.

    Raises:
        LooptopError: There is no such run, its journal is damaged, something that the configuration names is missing,
            or the folder cannot be made.
    """
    config = with_checked_sources(config)
    inherited = None
    if like is not None and config.kind == "vqa":
        from looptop.engine.vqa.curation.inherited import edits_to_inherit, write_inherited

        inherited = edits_to_inherit(RunFolder.find(like))
    folder = RunFolder.create(config.kind, config)
    if inherited is not None:
        write_inherited(folder, inherited)
    return folder


def resume(run_id: str, train: Train | None = None, *, trust: bool = False, settings: Sequence[str] = ()) -> Run:
    """Resumes a run in this process, from its newest complete checkpoint. The run must not be live.

    Args:
        run_id: The run, or its folder.
        train: The function that trains; by default that of the run's kind.
        trust: Whether a run that was made in another home may start the Python functions and the notify command that
            its settings name (`runs.trust`).
        settings: Changes of its configuration, as `key=value`: a finished run is prolonged by more epochs or steps.

    Raises:
        LooptopError: There is no such run; it is live, of a newer looptop, or finished and not prolonged; a setting
            cannot be changed; or it would start something that nobody has agreed to.
    """
    folder = RunFolder.find(run_id)
    lock = lock_for_resume(folder, trust=trust, settings=settings)
    thread = RunThread(folder, train, resume=True, settings=settings, lock=lock)
    _ignore_hangup()
    thread.start()
    return Run(thread)


def _ignore_hangup() -> None:
    """Ignores SIGHUP, which would by default end the process and the run in it."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        # Not SIG_IGN, which the caller's child processes would inherit.
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)


def lock_for_resume(
    folder: RunFolder, *, heartbeat: bool = True, trust: bool = False, settings: Sequence[str] = ()
) -> RunLock:
    """Checks that a run can be resumed with these changes of its configuration, and takes its lock.

    Args:
        folder: The run.
        heartbeat: As for `RunLock.acquire`: not needed if the lock is handed over immediately.
        trust: As for `resume`.
        settings: As for `resume`.

    Returns:
        The lock, which the caller must release or hand over.

    Raises:
        LooptopError: The run is live, finished and not prolonged, or cannot be read; a setting cannot be changed, or
            makes training impossible on this machine; its data cannot be used; or it would start something that nobody
            has agreed to.
    """
    folder.refuse_unsafe()
    before = folder.config()
    require_trust(folder, resuming=True, trust=trust)
    if is_live_elsewhere(folder.lock):
        owner = folder.owner()
        raise LooptopError(f"{folder.id} is running on {visible(owner.host) if owner else 'another host'}")
    lock = RunLock(folder.lock, folder.id).acquire(heartbeat=heartbeat)
    try:
        # With what is refused here it could only fail, and a finished run would no longer be finished.
        config = changed_config(folder, settings)
        refuse_impossible(config, before)
        refuse_unusable_data(config)
    except BaseException:
        lock.release()
        raise
    return lock
