"""Runs from Python: started in a worker thread of the caller's process, controlled, and waited for.

run = looptop.engine.start(looptop.engine.preset("tiny"))
run.wait()
print(run.result()["accuracy"])
"""

from __future__ import annotations

import shutil
import signal
import threading
from typing import Any

from looptop.engine.config import RunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.files.lock import RunLock, beats_elsewhere
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs.context import Train
from looptop.engine.runs.control import Control, send
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.trust import require_trust
from looptop.engine.startup.sources import ready
from looptop.engine.startup.worker import RunThread
from looptop.engine.text import visible


class Run:
    """A run that trains in this process. It goes on when nobody holds this object, and the process waits for it."""

    def __init__(self, thread: RunThread) -> None:
        self.folder = thread.folder
        self.journal = Journal(self.folder.db)
        """A reader of what the run writes."""
        self._thread = thread

    @property
    def id(self) -> str:
        """What a person types: `vqa-7`."""
        return self.folder.id

    @property
    def state(self) -> RunState:
        """Where the run stands."""
        return self._thread.state if self._thread.ended.is_set() else self.folder.state()

    @property
    def reason(self) -> str:
        """Why it failed or stopped."""
        return self._thread.reason

    def pause(self) -> Control:
        """Holds the run at the end of its step."""
        return send(self.folder, "pause", by="python")

    def continue_(self) -> Control:
        """Lets a paused run go on."""
        return send(self.folder, "continue", by="python")

    def step(self, to: str = "") -> Control:
        """Lets the run make one step, then holds it.

        Args:
            to: Hold it at this stage of a PPO batch instead: `generated`, `scored`, `compared`, `updated`, or `next`.
        """
        return send(self.folder, "step", by="python", to=to)

    def checkpoint(self) -> Control:
        """Has a checkpoint made at the end of the step, or at once where the run is paused."""
        return send(self.folder, "checkpoint", by="python")

    def stop(self, checkpoint: bool = True) -> None:
        """Stops the run at the end of its step; harmless where it has ended."""
        self._thread.context.request_stop(now=not checkpoint)

    def wait(self, timeout: float | None = None) -> RunState:
        """Waits until the run has ended.

        Ctrl-C while it waits stops the run with a checkpoint, and is raised again when that is done; a second one is
        raised at once, and the run stops without a checkpoint as soon as its step ends.

        Args:
            timeout: Wait at most this many seconds.

        Returns:
            The state then.
        """
        try:
            self._thread.ended.wait(timeout)
        except KeyboardInterrupt:
            self._thread.context.request_stop()
            try:
                self._thread.ended.wait()
            except KeyboardInterrupt:
                self._thread.context.request_stop(now=True)
                raise
            raise
        return self.state

    def result(self) -> dict[str, Any]:
        """Waits for the end and gives what came out: accuracy, loss, seconds.

        Raises:
            LooptopError: The run failed; says why.
        """
        self.wait()
        if self._thread.state is RunState.FAILED:
            raise LooptopError(f"{self.id} failed: {self._thread.reason}")
        return self._thread.result


def start(config: RunConfig, train: Train | None = None) -> Run:
    """Starts a run in a worker thread of this process.

    A terminal that goes away no longer ends the process: SIGHUP, where it was left to its default and this is the main
    thread, does nothing from now on. The process still ends when the caller's code and the run have.

    Args:
        config: All of the run.
        train: What trains; by default what the run's kind says.

    Raises:
        LooptopError: Another run trains in this process, something that the configuration names is missing, or no
            folder can be made.
    """
    folder = RunFolder.create(config.kind, ready(config))
    try:
        thread = RunThread(folder, train)
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)  # Nothing has come of it.
        raise
    _outlive_the_terminal()
    thread.start()
    return Run(thread)


def resume(run_id: str, train: Train | None = None, *, trust: bool = False) -> Run:
    """Goes on with a run that is not live, in this process, from its newest whole checkpoint.

    Args:
        run_id: The run, or its folder.
        train: What trains; by default what the run's kind says.
        trust: What a run that another home made would start (`runs.trust`) may be started.

    Raises:
        LooptopError: There is no such run, it is live, it is finished, it is a newer looptop's, or it would start
            something that nobody has agreed to.
    """
    folder = RunFolder.find(run_id)
    thread = RunThread(folder, train, resume=True, lock=lock_for_resume(folder, trust=trust))
    _outlive_the_terminal()
    thread.start()
    return Run(thread)


def _outlive_the_terminal() -> None:
    """SIGHUP ends a Python process by default, and the run in it."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        # A handler and not SIG_IGN, which the caller's child processes would inherit.
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)


def lock_for_resume(folder: RunFolder, *, heartbeat: bool = True, trust: bool = False) -> RunLock:
    """Takes the lock of a run that can be resumed.

    Raises:
        LooptopError: It is live, it is finished, it cannot be read, or it would start what nobody has agreed to.
    """
    folder.refuse_unsafe()
    folder.config()
    require_trust(folder, goes_on=True, trust=trust)
    if beats_elsewhere(folder.lock):
        owner = folder.owner()
        raise LooptopError(f"{folder.id} is running on {visible(owner.host) if owner else 'another host'}")
    lock = RunLock(folder.lock, folder.id).acquire(heartbeat=heartbeat)
    try:
        if Journal(folder.db).state()[0] is RunState.FINISHED:
            raise LooptopError(f"{folder.id} is finished; there is nothing left to go on with")
    except BaseException:
        lock.release()
        raise
    return lock
