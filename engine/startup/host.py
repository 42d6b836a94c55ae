"""The engine process: one run, in a session of its own, so that it outlives the terminal and whoever started it.

The worker thread trains. The main thread takes signals: SIGTERM or SIGINT once stops with a checkpoint, once more at
once; SIGHUP means nothing here. Run as `python -m looptop.engine.startup.host FOLDER [--resume] [--lock-fd N]`.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from looptop.engine.compute.threads import WAITING
from looptop.engine.config import RunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.files.lock import RunLock
from looptop.engine.files.private import open_regular, read_regular
from looptop.engine.journal.causes import Stop, StopReason
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.runs.about import About, write_about
from looptop.engine.runs.context import Train
from looptop.engine.runs.control import stop_is_waiting
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.preflight import refuse_unusable
from looptop.engine.startup.run import lock_for_resume
from looptop.engine.startup.sources import ready
from looptop.engine.startup.worker import RunThread
from looptop.engine.text import visible

# `-P`: a torch.py in the folder where somebody stands is not torch.
PROGRAM = (sys.executable, "-P", "-m", "looptop.engine.startup.host")

KEEPING = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
"""Has glibc keep the memory that it has. Left to itself it gives each large tensor back to the system when it is freed,
and the next one is laid out anew page by page: an eighth of the time of a PPO batch in bf16. Other systems pass over
these. The training thread keeps an arena of its own: in the one that all threads would share (`MALLOC_ARENA_MAX=1`),
torch's attention took twice as long in ten engine processes of 25, a step of the tiny VQA preset 75 ms instead of 52;
why is not known."""

NICENESS = 3
"""The priority that a run gives up; the operating system's own measure, from 0 to 19."""

_START_SECONDS = 120.0
_LARGEST_LOG = 256 * 2**20
_SIGNAL_SECONDS = 0.1
_LOST_SECONDS = 10.0
"""How long a run whose companion is lost has to notice by itself: it may be held, or wait for a GPU that never
answers."""
_LOADING_SECONDS = 1.0
"""How long a stop before the first step waits for the run to come to it by itself."""


def launch(config: RunConfig, program: Sequence[str] = PROGRAM, *, about: About | None = None) -> RunFolder:
    """Starts a run in an engine process of its own.

    Args:
        config: All of the run.
        program: What to start; it gets the run's folder and options behind it.
        about: What a person says of it.

    Returns:
        The run's folder; the run is live.

    Raises:
        LooptopError: Something that the configuration names cannot be used, or the run did not start; says why.
    """
    config = ready(config)
    refuse_unusable(config)
    folder = RunFolder.create(config.kind, config)
    if about is not None:
        write_about(folder.path, title=about.title, note=about.note, notify=about.notify)
    _spawn(folder, RunLock(folder.lock, folder.id).acquire(heartbeat=False), program, [])
    return folder


def relaunch(run_id: str, program: Sequence[str] = PROGRAM, *, trust: bool = False) -> RunFolder:
    """Goes on with a run that is not live, in an engine process of its own, from its newest whole checkpoint.

    Args:
        run_id: The run, or its folder.
        program: What to start.
        trust: What a run that another home made would start (`runs.trust`) may be started.

    Raises:
        LooptopError: There is no such run, it is live, it is finished, it is a newer looptop's, it would start
            something that nobody has agreed to, or it did not start.
    """
    folder = RunFolder.find(run_id)
    _spawn(folder, lock_for_resume(folder, heartbeat=False, trust=trust), program, ["--resume"])
    return folder


def serve(folder: RunFolder, train: Train | None = None, *, resume: bool = False, lock: RunLock | None = None) -> int:
    """Trains a run in this process, of which it takes over the signals.

    Args:
        folder: The run.
        train: What trains; by default what the run's kind says.
        resume: Go on from the newest whole checkpoint.
        lock: The run's lock where it is held already.

    Returns:
        The exit code: 1 where the run failed.
    """
    os.umask(0o077)
    # Behind whoever sits at a terminal: alone it costs nothing, beside the app a key is answered at once.
    os.nice(NICENESS)
    came: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: came.append(number))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    thread = RunThread(folder, train, resume=resume, lock=lock, keep_log=False)
    thread.start()
    taken = 0
    gate = thread.context.gate
    asked: float | None = None
    lost: float | None = None
    while not thread.ended.wait(_SIGNAL_SECONDS):
        if not gate.has_stepped and gate.stop_is_wanted():
            # Whatever it loads may take minutes and cannot be interrupted; nothing is lost by leaving it.
            asked = time.monotonic() if asked is None else asked
            if time.monotonic() - asked > _LOADING_SECONDS:
                _leave_at_once(thread, gate.why_stopped())
        if thread.lost:
            lost = time.monotonic() if lost is None else lost
            if time.monotonic() - lost > _LOST_SECONDS:
                _leave_at_once(thread, thread.lost, RunState.FAILED)
        if len(came) > taken:
            name = signal.Signals(came[taken]).name
            taken += 1
            # Who asked for a stop by a control and cannot wait for it sends a signal: that is the second time.
            if taken > 1 or thread.context.stop_requested.is_set() or stop_is_waiting(folder):
                _leave_at_once(thread, Stop(StopReason.AT_ONCE, detail=f"stopped at once by {name}"))
            when = "after this step, with a checkpoint" if gate.has_stepped else "before its first step"
            thread.journal.event("signal", f"{name}: stops {when}; again: at once")
            thread.context.request_stop()
    return 1 if thread.state is RunState.FAILED else 0


def main(arguments: Sequence[str] | None = None, train: Train | None = None) -> int:
    """The engine process.

    Args:
        arguments: What stands on its command line.
        train: What trains; by default what the run's kind says.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m looptop.engine.startup.host")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--lock-fd", type=int, help="an open file that holds the run's lock, from who started this")
    given = parser.parse_args(arguments)
    faulthandler.enable()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    folder = RunFolder(given.folder.absolute())
    try:
        lock = RunLock(folder.lock, folder.id, descriptor=given.lock_fd).acquire()
        return serve(folder, train, resume=given.resume, lock=lock)
    except LooptopError as error:
        sys.stderr.write(f"looptop: {error}\n")
        return 1


def _leave_at_once(thread: RunThread, why: str | Stop, state: RunState = RunState.STOPPED) -> None:
    if not thread.ended.is_set():
        thread.end_at_once(state, why)
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(1 if state is RunState.FAILED else 0)


def _spawn(folder: RunFolder, lock: RunLock, program: Sequence[str], options: Sequence[str]) -> None:
    """Starts the engine process with the lock in its hands, and waits until the run is running."""
    before = len(Journal(folder.db).states())
    try:
        # Appending, as the child does as well: what two write does not overwrite each other.
        log = open_regular(folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError as error:
        lock.release()
        raise LooptopError(f"cannot write {visible(folder.log)}: {error.strerror}") from None
    try:
        process = subprocess.Popen(
            [*program, str(folder.path), *options, "--lock-fd", str(lock.descriptor)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=[lock.descriptor],
            umask=0o077,
            env=WAITING | KEEPING | os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    except OSError as error:
        lock.release()
        raise LooptopError(f"cannot start an engine process for {folder.id}: {error.strerror}") from None
    finally:
        os.close(log)
    lock.hand_over()
    # Whoever started it reads its exit, or it would stay a zombie as long as the app lives.
    threading.Thread(target=process.wait, name=f"{folder.id} process", daemon=True).start()
    end = time.monotonic() + _START_SECONDS
    while len(Journal(folder.db).states()) <= before:
        if process.poll() is not None and len(Journal(folder.db).states()) <= before:
            raise LooptopError(f"{folder.id} did not start: {_last_line(folder.log)}")
        if time.monotonic() > end:
            process.terminate()
            raise LooptopError(
                f"{folder.id} did not start within {_START_SECONDS:.0f} s; its log: {visible(folder.log)}"
            )
        time.sleep(0.01)


def _last_line(log: Path) -> str:
    try:
        lines = read_regular(log, _LARGEST_LOG).decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    last = next((line for line in reversed(lines) if line.strip()), "its process ended without a word")
    return visible(last.removeprefix("looptop: "))


if __name__ == "__main__":
    sys.exit(main())
