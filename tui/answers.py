"""The app's side of asking: requests to the answering process, and its replies brought to the event loop.

The process loads torch and answers; a thread here waits for its replies and hands each over without waiting for the
app, so neither ever holds up a key.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from looptop.engine.vqa.answer_process import AskReply, AskRequest


class Answering(Protocol):
    """What is needed of the answering process; tests put something quicker in its place."""

    def start(self) -> None:
        """Starts it, unless it is there."""

    def ask(self, request: AskRequest) -> None:
        """Sends a request."""

    def read(self) -> AskReply:
        """Waits for the next reply."""
        ...

    def close(self) -> None:
        """Ends it."""


class Answers:
    """Sends questions, and calls `on_reply` in the event loop with what comes back."""

    def __init__(self, on_reply: Callable[[AskReply], None], make: Callable[[], Answering] | None = None) -> None:
        self._on_reply = on_reply
        self._make = make
        self._process: Answering | None = None
        self._reader: threading.Thread | None = None
        self._last = 0
        self._asked = threading.Event()
        self._closed = threading.Event()

    def ask(self, model: str, image: str = "", question: str = "") -> int:
        """Sends a request; without an image the model is only loaded.

        Returns:
            The id that the reply will have.

        Raises:
            LooptopError: The process could not be started.
        """
        from looptop.engine.vqa.answer_process import AnswerProcess, AskRequest

        if self._process is None:
            self._process = (self._make or AnswerProcess)()
        self._last += 1
        request = AskRequest(id=self._last, model=model, image=image, question=question, top=5, view=bool(image))
        self._process.start()
        if self._reader is None:
            loop = asyncio.get_running_loop()
            self._reader = threading.Thread(
                target=self._read, args=(self._process, loop), name="looptop-answers", daemon=True
            )
            self._reader.start()
        self._process.ask(request)
        self._asked.set()
        return self._last

    def close(self) -> None:
        """Ends the process; nothing is handed over any more."""
        self._closed.set()
        self._asked.set()
        if self._process is not None:
            self._process.close()

    def _read(self, process: Answering, loop: asyncio.AbstractEventLoop) -> None:
        while not self._closed.is_set():
            self._asked.clear()
            reply = process.read()
            if self._closed.is_set():
                return
            try:
                loop.call_soon_threadsafe(self._deliver, reply)
            except RuntimeError:  # The loop is closed: the app has left.
                return
            if reply.ended:  # Nothing comes before somebody asks again, which starts the process anew.
                self._asked.wait()

    def _deliver(self, reply: AskReply) -> None:
        if not self._closed.is_set():
            self._on_reply(reply)
