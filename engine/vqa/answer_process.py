"""Answers from a process of their own, so that whoever asks (the app) never imports torch nor waits for it.

    process = AnswerProcess()
    process.start()                                   # loads torch at once, in the background
    process.ask(AskRequest(id=1, model="bundled", image="picture.png", question="is there a circle?"))
    while not (reply := process.read()).ended: ...    # in a thread of the asker's

Requests and replies are lines of JSON on pipes; the process itself is `answer_server.py`. It ends when its input
closes, so it does not outlive its asker.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import IO

import msgspec
from msgspec import Struct

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.answer import Answer

SERVER = "looptop.engine.vqa.answer_server"


class AskRequest(Struct, frozen=True, kw_only=True):
    """A question about an image. Without an image the model is only loaded, so that the first answer comes soon."""

    id: int
    """Chosen by the asker, above 0; comes back with the reply."""
    model: str
    image: str = ""
    """Path of the file."""
    question: str = ""
    top: int = 5
    view: bool = False
    device: str = "auto"


class WireRequest(Struct, frozen=True, kw_only=True):
    """A request as it travels: a path may hold bytes that are not text, which JSON cannot."""

    id: int
    model: str
    image: bytes
    question: str
    top: int
    view: bool
    device: str


class AskReply(Struct, frozen=True, kw_only=True):
    """What became of a request, or what the process is doing."""

    id: int = 0
    """Of the request; 0 where it is about none."""
    answer: Answer | None = None
    error: str | None = None
    """One sentence."""
    status: str = ""
    """`starting`, `loading MODEL`, `ready`; `ended` where the process is gone."""

    @property
    def done(self) -> bool:
        """Whether this is the last reply to its request."""
        return self.id > 0 and (self.answer is not None or self.error is not None or self.status == "ready")

    @property
    def ended(self) -> bool:
        """Whether the process is gone: nothing more will come until it is started again."""
        return self.id == 0 and self.status == "ended"


@dataclass
class _Child:
    """One start of the process."""

    process: subprocess.Popen[bytes]
    unanswered: dict[int, None] = field(default_factory=dict)
    """Ids of requests, in order."""
    closed: bool = False


class AnswerProcess:
    """Starts and talks to the answering process. `start`, `ask` and `close` from any thread, `read` from one."""

    def __init__(self) -> None:
        self._children: list[_Child] = []
        """Those whose replies are not all read: the one that runs, and ended ones before it."""
        self._lock = threading.Lock()

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return bool(self._children) and self._children[-1].process.poll() is None

    def start(self) -> None:
        """Starts the process, unless it is there. It begins to load torch at once.

        Raises:
            LooptopError: The system does not let it start.
        """
        with self._lock:
            if self.running:
                return
            try:
                process = subprocess.Popen(
                    # -P: a file of the asker's directory must not stand in for a module.
                    [sys.executable, "-P", "-m", SERVER],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    # Threads that wait for each other sleep: where a run trains on the same cores, spinning holds up
                    # both, many times over.
                    env={"OMP_WAIT_POLICY": "PASSIVE"} | os.environ,
                    # A session of its own: ctrl+c in the terminal is the asker's alone.
                    start_new_session=True,
                )
            except OSError as error:
                raise LooptopError(f"the answering process cannot be started: {error.strerror}") from error
            self._children.append(_Child(process))

    def ask(self, request: AskRequest) -> None:
        """Sends a request; its replies come from `read`. Requests are answered one after another.

        Raises:
            LooptopError: The process is not there; start it (again).
        """
        wire = WireRequest(
            id=request.id,
            model=_text(request.model),
            image=os.fsencode(request.image),
            question=_text(request.question),
            top=request.top,
            view=request.view,
            device=request.device,
        )
        with self._lock:
            if not self.running:
                raise LooptopError("the answering process is not running; start it again")
            child = self._children[-1]
            child.unanswered[request.id] = None
            stdin = _pipe(child.process.stdin)
            # Where it ended this very moment, `read` says so, for this request too.
            with contextlib.suppress(OSError):
                stdin.write(msgspec.json.encode(wire) + b"\n")
                stdin.flush()

    def read(self) -> AskReply:
        """Waits for the next reply.

        When the process has ended, each request that it left unanswered gets an error; then, unless it was started
        again meanwhile, comes a reply that is `ended`, with the reason as its error unless it was closed.
        """
        while True:
            with self._lock:
                if not self._children:
                    return AskReply(status="ended")
                child = self._children[0]
            line = _pipe(child.process.stdout).readline()
            if line.endswith(b"\n"):
                reply = msgspec.json.decode(line, type=AskReply)
                if reply.done:
                    with self._lock:
                        child.unanswered.pop(reply.id, None)
                return reply
            said = _end(child)
            with self._lock:
                if child.unanswered:
                    request_id = next(iter(child.unanswered))
                    del child.unanswered[request_id]
                    return AskReply(id=request_id, error=said, status="ended")
                self._children.remove(child)
                _pipe(child.process.stdout).close()
                with contextlib.suppress(OSError):
                    _pipe(child.process.stdin).close()
                if not self._children:
                    return AskReply(error=None if child.closed else said, status="ended")

    def close(self) -> None:
        """Ends the process at once. A `read` that waits returns."""
        with self._lock:
            for child in self._children:
                child.closed = True
                child.process.kill()
                child.process.wait()


def _end(child: _Child) -> str:
    """Waits for the process and says how it ended."""
    code = child.process.wait()
    if child.closed:
        return "the answering process was closed"
    return f"the answering process ended ({_reason(code)}); ask again to start a new one"


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # Popen was given pipes.
    return stream


def _reason(code: int) -> str:
    if code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"


def _text(text: str) -> str:
    """Without lone surrogates (bytes that were not UTF-8), which JSON cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
