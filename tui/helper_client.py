"""The app's side of a helper process: requests to it, and its replies brought to the event loop.

The process loads torch and answers; a thread here waits for its replies and hands each over without waiting for the
app, so neither ever holds up a key.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from looptop.engine.helpers.process import Reply

Request = TypeVar("Request", contravariant=True)
R = TypeVar("R", bound="Reply", covariant=True)


class Helping(Protocol[Request, R]):
    """What is needed of a helper process; tests put something quicker in its place."""

    def start(self) -> None:
        """Starts it, unless it is there."""

    def ask(self, request: Request) -> None:
        """Sends a request."""

    def read(self) -> R:
        """Waits for the next reply."""
        ...

    def close(self) -> None:
        """Ends it."""


Asked = TypeVar("Asked")
Answer = TypeVar("Answer", bound="Reply")


class Helped(Generic[Asked, Answer]):
    """Sends requests, and calls `on_reply` in the event loop with what comes back.

    Args:
        on_reply: Is given each reply.
        make: Makes the process, once something is asked.
    """

    def __init__(self, on_reply: Callable[[Answer], None], make: Callable[[], Helping[Asked, Answer]]) -> None:
        self._on_reply = on_reply
        self._make = make
        self._process: Helping[Asked, Answer] | None = None
        self._reader: threading.Thread | None = None
        self._last = 0
        self._asked = threading.Event()
        self._closed = threading.Event()

    def send(self, make_request: Callable[[int], Asked]) -> int:
        """Sends a request.

        Args:
            make_request: Makes it, given the id that its replies will have.

        Returns:
            The id.

        Raises:
            LooptopError: The process could not be started.
        """
        if self._process is None:
            self._process = self._make()
        self._last += 1
        request = make_request(self._last)
        self._process.start()
        if self._reader is None:
            loop = asyncio.get_running_loop()
            self._reader = threading.Thread(
                target=self._read, args=(self._process, loop), name="looptop-helped", daemon=True
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

    def _read(self, process: Helping[Asked, Answer], loop: asyncio.AbstractEventLoop) -> None:
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

    def _deliver(self, reply: Answer) -> None:
        if not self._closed.is_set():
            self._on_reply(reply)
