"""The engine process: trains one run in a session of its own, so that the run outlives the terminal and its starter.

The worker thread trains; the main thread handles signals. The first SIGTERM or SIGINT stops the run with a checkpoint,
the second stops it at once; SIGHUP is ignored. Run as
`python -m looptop.engine.startup.host FOLDER [--resume] [--set KEY=VALUE] [--after FOLDER] [--lock-fd N]`.

A queued run's process is here already while it waits: it holds the run's lock, takes a stop, and imports torch only
when the other run has ended. So a queue needs no server, and outlives the app.
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

from looptop.engine.compute.threads import WAIT_POLICY
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
from looptop.engine.startup.run import create_like, lock_for_resume
from looptop.engine.startup.sources import with_checked_sources
from looptop.engine.startup.worker import RunThread
from looptop.engine.text import visible

# `-P`: a file torch.py in the current folder must not be imported instead of torch.
PROGRAM = (sys.executable, "-P", "-m", "looptop.engine.startup.host")

MALLOC_SETTINGS = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
"""Makes glibc keep freed memory. By default it returns each large tensor to the system, and the next one is mapped page
by page again: an eighth of the time of a PPO batch in bf16. Other systems ignore these variables. The training thread
keeps its own arena: with one arena for all threads (`MALLOC_ARENA_MAX=1`), torch's attention took twice as long in ten
of 25 engine processes, and a step of the tiny VQA preset 75 ms instead of 52; the cause is not known."""

NICENESS = 3
"""The niceness of a run's process, from 0 (normal priority) to 19."""

_START_SECONDS = 120.0
_MAX_LOG_BYTES = 256 * 2**20
_SIGNAL_SECONDS = 0.1
_LOST_SECONDS = 10.0
"""How long a run has to notice that a companion is lost. It may not: it may be paused, or wait for a GPU that never
answers."""
_LOADING_SECONDS = 1.0
"""How long a stop before the first step waits for the run to stop by itself."""


def launch(
    config: RunConfig,
    program: Sequence[str] = PROGRAM,
    *,
    about: About | None = None,
    after: str | None = None,
    like: str | None = None,
) -> RunFolder:
    """Starts a run in an engine process of its own.

    Args:
        config: The run's configuration.
        program: The command of the engine process; the run's folder and options are added.
        about: The run's title, note and notify command.
        after: Queue it: it trains once this run (an id, or a folder) has finished, stopped, failed or lost its process.
        like: The run that it is made like, whose edits of training questions it takes over.

    Returns:
        The run's folder; the run is live.

    Raises:
        LooptopError: Something that the configuration names cannot be used, or the run did not start.
    """
    waits_for = RunFolder.find(after) if after is not None else None
    config = with_checked_sources(config)
    refuse_unusable(config)
    folder = create_like(config, like)
    if about is not None:
        write_about(folder.path, title=about.title, note=about.note, notify=about.notify)
    options = ["--after", str(waits_for.path)] if waits_for is not None else []
    _spawn(folder, RunLock(folder.lock, folder.id).acquire(heartbeat=False), program, options)
    return folder


def relaunch(
    run_id: str, program: Sequence[str] = PROGRAM, *, trust: bool = False, settings: Sequence[str] = ()
) -> RunFolder:
    """Resumes a run that is not live from its newest complete checkpoint, in an engine process of its own.

    Args:
        run_id: The run, or its folder.
        program: The command of the engine process.
        trust: Whether a run that was made in another home may start what it names (`runs.trust`).
        settings: Changes of its configuration, as `key=value`: a finished run is prolonged by more epochs or steps.

    Raises:
        LooptopError: There is no such run; it is live, of a newer looptop, or finished and not prolonged; a setting
            cannot be changed; it would start something that nobody has agreed to; or it did not start.
    """
    folder = RunFolder.find(run_id)
    lock = lock_for_resume(folder, heartbeat=False, trust=trust, settings=settings)
    _spawn(folder, lock, program, ["--resume", *(f"--set={each}" for each in settings)])
    return folder


def serve(
    folder: RunFolder,
    train: Train | None = None,
    *,
    resume: bool = False,
    settings: Sequence[str] = (),
    after: RunFolder | None = None,
    lock: RunLock | None = None,
) -> int:
    """Trains a run in this process and handles the process's signals.

    Args:
        folder: The run.
        train: The function that trains; by default that of the run's kind.
        resume: Resume from the newest complete checkpoint.
        settings: Changes of the configuration for a resume, as `key=value`.
        after: Train once this run has ended.
        lock: The run's lock, if it is held already.

    Returns:
        The exit code: 1 if the run failed.
    """
    os.umask(0o077)
    # Interactive programs come first, so that the app answers a key quickly. Alone, the run is as fast as without it.
    os.nice(NICENESS)
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: received.append(number))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    thread = RunThread(folder, train, resume=resume, settings=settings, after=after, lock=lock, keep_log=False)
    thread.start()
    handled = 0
    gate = thread.context.gate
    stop_requested: float | None = None
    companion_lost: float | None = None
    while not thread.ended.wait(_SIGNAL_SECONDS):
        if not gate.has_stepped and gate.stop_is_wanted():
            # Loading may take minutes and cannot be interrupted; ending the process now loses nothing.
            stop_requested = time.monotonic() if stop_requested is None else stop_requested
            if time.monotonic() - stop_requested > _LOADING_SECONDS:
                _exit_now(thread, gate.why_stopped())
        if thread.lost:
            companion_lost = time.monotonic() if companion_lost is None else companion_lost
            if time.monotonic() - companion_lost > _LOST_SECONDS:
                _exit_now(thread, thread.lost, RunState.FAILED)
        if len(received) > handled:
            name = signal.Signals(received[handled]).name
            handled += 1
            # A signal after a stop control counts as the second one: somebody does not want to wait.
            if handled > 1 or thread.context.stop_requested.is_set() or stop_is_waiting(folder):
                _exit_now(thread, Stop(StopReason.IMMEDIATE, detail=f"stopped at once by {name}"))
            when = "after this step, with a checkpoint" if gate.has_stepped else "before its first step"
            thread.journal.event("signal", f"{name}: the run stops {when}; a second signal stops it at once")
            thread.context.request_stop()
    return 1 if thread.state is RunState.FAILED else 0


def main(arguments: Sequence[str] | None = None, train: Train | None = None) -> int:
    """Runs the engine process.

    Args:
        arguments: Its command line.
        train: The function that trains; by default that of the run's kind.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m looptop.engine.startup.host")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--after", type=Path)
    parser.add_argument("--lock-fd", type=int, help="an inherited open file that holds the run's lock")
    given = parser.parse_args(arguments)
    faulthandler.enable()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    folder = RunFolder(given.folder.absolute())
    try:
        lock = RunLock(folder.lock, folder.id, descriptor=given.lock_fd).acquire()
        after = RunFolder(given.after) if given.after is not None else None
        return serve(folder, train, resume=given.resume, settings=given.settings, after=after, lock=lock)
    except LooptopError as error:
        sys.stderr.write(f"looptop: {error}\n")
        return 1


def _exit_now(thread: RunThread, why: str | Stop, state: RunState = RunState.STOPPED) -> None:
    if not thread.ended.is_set():
        thread.end_now(state, why)
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(1 if state is RunState.FAILED else 0)


def _spawn(folder: RunFolder, lock: RunLock, program: Sequence[str], options: Sequence[str]) -> None:
    """Starts the engine process, hands the lock over to it, and waits until the run is running."""
    before = len(Journal(folder.db).states())
    try:
        # Opened to append, as the child does, so that the two do not overwrite each other's lines.
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
            env=WAIT_POLICY | MALLOC_SETTINGS | os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    except OSError as error:
        lock.release()
        raise LooptopError(f"cannot start an engine process for {folder.id}: {error.strerror}") from None
    finally:
        os.close(log)
    lock.hand_over()
    # Somebody must wait for the process, or it stays a zombie as long as the app lives.
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
        lines = read_regular(log, _MAX_LOG_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    last = next((line for line in reversed(lines) if line.strip()), "its process ended without a message")
    return visible(last.removeprefix("looptop: "))


if __name__ == "__main__":
    sys.exit(main())
