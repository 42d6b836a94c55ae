"""A helper process: it loads torch and answers requests, so that the caller (the app) need not import torch or wait.

    process = AnswerProcess()                         # or any other `HelperProcess`
    process.start()                                   # starts to load torch, in the background
    process.ask(request)
    while not (reply := process.read()).ended: ...    # in a thread of the caller's

Requests and replies are lines of JSON on pipes; the process runs a `server.HelperServer`. It ends when its input
closes, so it does not outlive its caller.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from enum import Enum
from typing import IO, ClassVar, Generic, TypeVar

import msgspec
from msgspec import Struct

from looptop.engine.compute.threads import WAIT_POLICY
from looptop.engine.errors import LooptopError


class HelperState(Enum):
    """The state of a helper process when it sends a reply."""

    STARTING = "starting"
    """It loads torch."""
    WORKING = "working"
    """It works on a request; more replies to it follow."""
    READY = "ready"
    """It has finished a request, or has loaded torch."""
    ENDED = "ended"
    """It has exited."""


class HelperReply(Struct, frozen=True, kw_only=True):
    """The outcome of a request, or what the process is doing."""

    id: int = 0
    """The request's id; 0 if the reply belongs to none."""
    error: str | None = None
    """One sentence."""
    state: HelperState = HelperState.WORKING
    activity: str = ""
    """What the process is doing while it works, in words: "loading MODEL"."""

    @property
    def done(self) -> bool:
        """Whether this is the last reply to its request."""
        return self.id > 0 and (self.error is not None or self.state is HelperState.READY)

    @property
    def ended(self) -> bool:
        """Whether the process has exited: no more replies come until it is started again."""
        return self.id == 0 and self.state is HelperState.ENDED


ReplyType = TypeVar("ReplyType", bound=HelperReply)


@dataclass
class _Child:
    """One start of the process."""

    process: subprocess.Popen[bytes]
    unanswered: dict[int, None] = field(default_factory=dict)
    """Ids of the unanswered requests, in order."""
    closed: bool = False


class HelperProcess(Generic[ReplyType]):
    """Starts and talks to a helper process. `start`, `send` and `close` from any thread, `read` from one."""

    SERVER: ClassVar[str]
    """The module that the process runs."""
    NAME: ClassVar[str] = "the answering process"
    """The name of the process in error messages."""

    def __init__(self, reply_type: type[ReplyType]) -> None:
        self._reply_type = reply_type
        self._children: list[_Child] = []
        """The running process, after exited ones whose replies are not all read yet."""
        self._lock = threading.Lock()

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return bool(self._children) and self._children[-1].process.poll() is None

    def start(self) -> None:
        """Starts the process, unless it is running. It begins to load torch immediately.

        Raises:
            LooptopError: The system cannot start it.
        """
        with self._lock:
            if self.running:
                return
            try:
                process = subprocess.Popen(
                    # -P: a file in the current directory must not be imported instead of a module.
                    [sys.executable, "-P", "-m", self.SERVER],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=WAIT_POLICY | os.environ,
                    # A session of its own, so that ctrl+c in the terminal reaches the caller only.
                    start_new_session=True,
                )
            except OSError as error:
                raise LooptopError(f"{self.NAME} cannot be started: {error.strerror}") from error
            self._children.append(_Child(process))

    def send(self, request_id: int, request: Struct) -> None:
        """Sends a request; its replies come from `read`. Requests are answered one after another.

        Args:
            request_id: Chosen by the caller, above 0; the replies carry it.
            request: What the server reads; its texts hold no lone surrogates (see `encoding.sendable`).

        Raises:
            LooptopError: The process is not running; start it again.
        """
        with self._lock:
            if not self.running:
                raise LooptopError(f"{self.NAME} is not running; start it again")
            child = self._children[-1]
            child.unanswered[request_id] = None
            stdin = _pipe(child.process.stdin)
            # If the process has just exited, `read` reports it, also for this request.
            with contextlib.suppress(OSError):
                stdin.write(msgspec.json.encode(request) + b"\n")
                stdin.flush()

    def read(self) -> ReplyType:
        """Waits for the next reply.

        When the process has exited, each unanswered request gets an error. Then comes a reply that is `ended`, unless
        the process was started again by then; its error is the reason, unless the process was closed.
        """
        while True:
            with self._lock:
                if not self._children:
                    return self._reply_type(state=HelperState.ENDED)
                child = self._children[0]
            line = _pipe(child.process.stdout).readline()
            if line.endswith(b"\n"):
                reply = msgspec.json.decode(line, type=self._reply_type)
                if reply.done:
                    with self._lock:
                        child.unanswered.pop(reply.id, None)
                return reply
            message = self._end(child)
            with self._lock:
                if child.unanswered:
                    request_id = next(iter(child.unanswered))
                    del child.unanswered[request_id]
                    return self._reply_type(id=request_id, error=message, state=HelperState.ENDED)
                self._children.remove(child)
                _pipe(child.process.stdout).close()
                with contextlib.suppress(OSError):
                    _pipe(child.process.stdin).close()
                if not self._children:
                    return self._reply_type(error=None if child.closed else message, state=HelperState.ENDED)

    def close(self) -> None:
        """Kills the process. A waiting `read` returns."""
        with self._lock:
            for child in self._children:
                child.closed = True
                child.process.kill()
                child.process.wait()

    def _end(self, child: _Child) -> str:
        """Waits for the process to exit; returns a sentence about how it ended."""
        code = child.process.wait()
        if child.closed:
            return f"{self.NAME} was closed"
        return f"{self.NAME} ended ({_exit_reason(code)}); ask again to start a new one"


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # Popen was given pipes.
    return stream


def _exit_reason(code: int) -> str:
    if code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"
