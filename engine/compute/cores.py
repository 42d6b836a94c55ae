"""Has programs that compute at once on one processor share its cores.

torch gives each part of an operation to a thread of its own and waits for the slowest, many thousand times a second. If
two programs have a thread for every core, each waits for threads that the other one keeps from running, and both
together are slower than one after the other (the README has figures). So each of looptop's takes a seat while it
computes, and uses as many threads as there are cores for it. Whoever is paused has no seat; a run on a GPU needs none.
Programs that know of no seats are told by what they take: a core that they keep busy is left to them.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import socket
import time
from collections.abc import Callable, Iterator

from looptop.engine.compute import load
from looptop.engine.errors import LooptopError
from looptop.engine.files.lock import is_held
from looptop.engine.home import home

LOOK_SECONDS = 1.0
"""Between two looks at who else computes."""

LOAD_SECONDS = 3.0
"""What other programs take is averaged over these: who opens an app or asks one question is not made way for."""

MAKES_WAY = 0.35
"""Of a core that others take, from where on it is left to them. On two cores a step of the tiny VQA preset takes 1.4
times as long beside a program that computes for a third of the time, with one thread as with two; beside one that
always computes 1.5 times with one thread, 9 times with two."""

_SEATS = 64


class Cores:
    """What this process may use of the processor. One a process, as torch's threads are; for the thread that computes.

    A seat is a file in the user's `computing` folder under a lock, which the kernel releases when the process is gone,
    however it went.
    """

    def __init__(self) -> None:
        self._seat: int | None = None
        self._threads = self._share = self._spare = 0
        self._set_threads: Callable[[int], object] = lambda threads: None
        self._shared = False
        self._programs = 1
        self._next_look = 0.0
        self._reading: load.Reading | None = None
        self._taken = 0

    @property
    def has_seat(self) -> bool:
        """Whether this process has said that it computes."""
        return self._seat is not None

    def take_seat(self) -> None:
        """Says that this process computes from now on. Where it cannot be said, it computes all the same."""
        if self._seat is not None:
            return
        self._next_look = 0.0
        self._reading, self._taken = None, 0
        with contextlib.suppress(OSError, LooptopError):
            folder = home() / "computing"
            folder.mkdir(mode=0o700, exist_ok=True)
            # The folder may be on several machines at once.
            for number in range(_SEATS):
                self._seat = _lock(folder / f"{socket.gethostname()}-{number}")
                if self._seat is not None:
                    return

    def leave_seat(self) -> None:
        """Says that this process computes no more; again is harmless."""
        seat, self._seat = self._seat, None
        if seat is not None:
            # Closing would not do: a child that was forked may have the file open.
            fcntl.flock(seat, fcntl.LOCK_UN)
            os.close(seat)

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Takes a seat while the block runs."""
        self.take_seat()
        try:
            yield
        finally:
            self.leave_seat()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Leaves the seat, if there is one, to others while the block runs."""
        had = self._seat is not None
        self.leave_seat()
        try:
            yield
        finally:
            if had:
                self.take_seat()

    def programs(self) -> int:
        """How many compute now, with this one; 1 where it has no seat. Not looked up each time."""
        if self._seat is None:
            return 1
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_SECONDS
            here = (home() / "computing").glob(f"{socket.gethostname()}-*")
            self._programs = max(1, sum(is_held(seat) for seat in here))
        return self._programs

    def taken(self) -> int:
        """How many cores programs keep busy that are not this one; 0 where it has no seat. Not looked up each time."""
        if self._seat is None:
            return 0
        if self._reading is None or time.monotonic() - self._reading.moment >= LOAD_SECONDS:
            with contextlib.suppress(OSError):
                before, self._reading = self._reading, load.read()
                if before is not None:
                    self._taken = math.ceil(load.cores_of_others(before, self._reading) - MAKES_WAY)
        return self._taken

    def use(self, threads: int, set_threads: Callable[[int], object], *, shared: bool, spare: int = 0) -> None:
        """Begins to compute.

        Args:
            threads: How many there may be where nobody else computes.
            set_threads: Told how many there shall be, now and whenever that changes: torch's.
            shared: Whether there are fewer while others compute.
            spare: Cores that there are besides, which others may use without being in the way.
        """
        self._threads, self._set_threads, self._shared, self._share = threads, set_threads, shared, threads
        self._spare = spare
        set_threads(threads)
        self.divide()

    def divide(self) -> None:
        """Takes the share that is due now; nothing before the first `use`."""
        if not self._shared:
            return
        taken = max(0, self.taken() - self._spare)
        share = max(1, min(self._threads // self.programs(), self._threads - taken))
        if self._share != share:
            self._set_threads(share)
            self._share = share


def _lock(path: os.PathLike[str]) -> int | None:
    """The open file, or None where somebody else holds its lock."""
    seat = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(seat, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(seat)
        return None
    except OSError:
        os.close(seat)
        raise
    return seat


CORES = Cores()
