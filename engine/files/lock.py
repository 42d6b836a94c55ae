"""The lock of a live run. Its process holds it, and the kernel releases it when that process exits, even if killed.

The lock is a `flock` on `run.lock`. The file also names the process that holds it. Other hosts cannot see the lock, so
a thread updates the file's modification time every two seconds as a heartbeat, and readers there check that.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import time
import weakref
from pathlib import Path
from typing import Annotated

import msgspec

from looptop.engine.errors import UNREADABLE, LooptopError
from looptop.engine.files.private import open_regular, read_regular
from looptop.engine.text import visible

HEARTBEAT_SECONDS = 2.0
# Seconds. The clocks of the other host and of the file server may differ from ours.
_MAX_HEARTBEAT_AGE = 15.0
# A reader that tests the lock holds it for microseconds; whoever still holds it after this long is another run.
PATIENCE_SECONDS = 0.5
_MAX_BYTES = 64 * 1024


class Owner(msgspec.Struct, frozen=True):
    """The process that holds, or last held, a run's lock."""

    host: str
    pid: int
    started: float
    """When it took the lock, in seconds since the epoch."""
    heartbeat: float
    """When it last updated the lock file; other hosts use this to tell whether the run is live."""


class _LockFile(msgspec.Struct):
    """What the lock file holds, as JSON."""

    host: str
    # A signal to process 0 or -1 would reach other processes.
    pid: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
    started: float


class RunLock:
    """Holds `run.lock` from `acquire` to `release`, or while a `with` block runs.

    Args:
        path: The lock file; made if missing.
        run_id: The run's name in error messages.
        descriptor: An open file that holds the lock already, handed over by the process that started this one.
    """

    def __init__(self, path: Path, run_id: str = "", descriptor: int | None = None) -> None:
        self.path = path
        self.run_id = run_id or path.parent.name
        self.started = 0.0
        self._descriptor = descriptor
        self._released = threading.Event()
        self._close_lock = threading.Lock()

    @property
    def descriptor(self) -> int:
        """The open lock file, to hand over to a child process."""
        if self._descriptor is None:
            raise ValueError("the lock is not held")
        return self._descriptor

    def acquire(self, heartbeat: bool = True) -> RunLock:
        """Takes the lock.

        Args:
            heartbeat: Start the thread that updates the file; not needed if the lock is handed over immediately.

        Raises:
            LooptopError: Another process, or another thread of this one, holds the lock; or the file cannot be made.
        """
        if self._descriptor is None:
            try:
                descriptor = open_regular(self.path, os.O_RDWR | os.O_CREAT)
            except OSError as error:
                raise LooptopError(f"cannot lock {visible(self.path)}: {error.strerror}") from None
            try:
                self._take(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        else:
            os.set_inheritable(self._descriptor, False)
        self.started = time.time()
        self._write_owner()
        _held_locks.add(self)
        if heartbeat:
            threading.Thread(target=self._update_heartbeat, name=f"{self.run_id} heartbeat", daemon=True).start()
        return self

    def release(self) -> None:
        """Releases the lock; a second call does nothing."""
        self._released.set()
        with self._close_lock:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                with contextlib.suppress(OSError):
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
                os.close(descriptor)

    def hand_over(self) -> None:
        """Closes this process's copy; the child process that inherited the lock keeps it."""
        self._released.set()
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> RunLock:
        return self if self._descriptor is not None and self.started else self.acquire()

    def __exit__(self, *_exception: object) -> None:
        self.release()

    def _take(self, descriptor: int) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise LooptopError(f"{self.run_id} is running already{_owner_in_words(self.path)}") from None
            except OSError as error:
                raise LooptopError(f"cannot lock {visible(self.path)}: {error.strerror}") from None
            time.sleep(0.005)

    def _write_owner(self) -> None:
        record = msgspec.json.encode(_LockFile(socket.gethostname(), os.getpid(), self.started))
        # A full disk must not keep a run from starting: the lock works without this text.
        with contextlib.suppress(OSError):
            os.pwrite(self.descriptor, record, 0)
            os.ftruncate(self.descriptor, len(record))

    def _update_heartbeat(self) -> None:
        while not self._released.wait(HEARTBEAT_SECONDS):
            with self._close_lock, contextlib.suppress(OSError):
                if self._descriptor is not None:
                    os.utime(self._descriptor)


def is_held(path: Path) -> bool:
    """Whether a process on this machine holds the lock. The test takes a shared lock for some microseconds."""
    try:
        descriptor = open_regular(path)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def read_owner(path: Path) -> Owner | None:
    """The process that holds, or last held, the lock; None if there was none or the file is damaged."""
    try:
        record = msgspec.json.decode(read_regular(path, _MAX_BYTES), type=_LockFile)
        return Owner(record.host, record.pid, record.started, path.lstat().st_mtime)
    except (OSError, *UNREADABLE):
        return None


def damage(path: Path) -> str:
    """What is wrong with the lock file, in a sentence; empty if it can be read or is still empty."""
    with contextlib.suppress(OSError):
        if path.stat().st_size and read_owner(path) is None:
            return f"{path.name} is damaged: it does not say which process held the run last"
    return ""


def is_live_elsewhere(path: Path) -> bool:
    """Whether a process on another host holds the lock, judged by its heartbeat."""
    owner = read_owner(path)
    if owner is None or owner.host == socket.gethostname():
        return False
    return abs(time.time() - owner.heartbeat) < _MAX_HEARTBEAT_AGE


def _owner_in_words(path: Path) -> str:
    owner = read_owner(path)
    return f" (process {owner.pid} on {visible(owner.host)})" if owner else ""


_held_locks: weakref.WeakSet[RunLock] = weakref.WeakSet()


def _forget_after_fork() -> None:
    """Closes the lock in a forked child (a data loader's worker), which would keep it after its parent has exited."""
    for lock in list(_held_locks):
        with contextlib.suppress(OSError):
            lock.hand_over()


os.register_at_fork(after_in_child=_forget_after_fork)
