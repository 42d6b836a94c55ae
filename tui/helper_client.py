"""The app's side of a helper process: sends requests, and delivers replies to the event loop.

The process loads torch and answers. A thread here waits for its replies and passes each on without waiting for the
app, so neither of them ever delays a key.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from looptop.tui.background import for_threads

if TYPE_CHECKING:
    from looptop.engine.helpers.process import HelperReply

RequestIn = TypeVar("RequestIn", contravariant=True)
ReplyOut = TypeVar("ReplyOut", bound="HelperReply", covariant=True)
RequestType = TypeVar("RequestType")
ReplyType = TypeVar("ReplyType", bound="HelperReply")


class HelperProcess(Protocol[RequestIn, ReplyOut]):
    """The methods of a helper process that the client uses; tests use a faster substitute."""

    def start(self) -> None:
        """Starts the process, unless it is running."""

    def ask(self, request: RequestIn) -> None:
        """Sends a request."""

    def read(self) -> ReplyOut:
        """Waits for the next reply."""
        ...

    def close(self) -> None:
        """Ends the process."""


class HelperClient(Generic[RequestType, ReplyType]):
    """Sends requests, and calls `on_reply` in the event loop with what comes back.

    Args:
        on_reply: Called with each reply.
        make: Makes the process; called at the first request.
    """

    def __init__(
        self, on_reply: Callable[[ReplyType], None], make: Callable[[], HelperProcess[RequestType, ReplyType]]
    ) -> None:
        self._on_reply = on_reply
        self._make = make
        self._process: HelperProcess[RequestType, ReplyType] | None = None
        self._reader: threading.Thread | None = None
        self._last_id = 0
        self._asked = threading.Event()
        self._closed = threading.Event()

    def send(self, make_request: Callable[[int], RequestType]) -> int:
        """Sends a request.

        Args:
            make_request: Makes the request from the id that its replies will have.

        Returns:
            The id.

        Raises:
            LooptopError: The process could not be started.
        """
        if self._process is None:
            self._process = self._make()
        self._last_id += 1
        request = make_request(self._last_id)
        self._process.start()
        if self._reader is None:
            self._reader = threading.Thread(
                target=self._read,
                args=(self._process, for_threads(self._deliver)),
                name="looptop-helper-client",
                daemon=True,
            )
            self._reader.start()
        self._process.ask(request)
        self._asked.set()
        return self._last_id

    def close(self) -> None:
        """Ends the process; no more replies are delivered."""
        self._closed.set()
        self._asked.set()
        if self._process is not None:
            self._process.close()

    def _read(self, process: HelperProcess[RequestType, ReplyType], deliver: Callable[[ReplyType], None]) -> None:
        while not self._closed.is_set():
            self._asked.clear()
            reply = process.read()
            if self._closed.is_set():
                return
            deliver(reply)
            if reply.ended:  # No more replies come until the next request, which starts the process again.
                self._asked.wait()

    def _deliver(self, reply: ReplyType) -> None:
        if not self._closed.is_set():
            self._on_reply(reply)
