"""The app's side of the reference process: it generates the reference's response to a query if the run journalled none.

    process = ReferenceProcess()
    process.start()
    process.ask(ReferenceRequest(id=1, run=str(folder.path), step=12, row=3))
    while not (reply := process.read()).ended: ...    # in a thread of the caller's

The process runs `reference_server.py`.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec import Struct

from looptop.engine.encoding import sendable
from looptop.engine.helpers.process import HelperProcess, HelperReply


class ReferenceRequest(Struct, frozen=True, kw_only=True):
    """A sample to whose query the reference must respond."""

    id: int
    """Chosen by the caller, above 0; the replies carry it."""
    run: str
    """The run's folder."""
    step: int
    """The step of the sample's batch."""
    row: int
    """The sample's row in its batch."""


class ReferenceReply(HelperReply, frozen=True, kw_only=True):
    """The response to a query, or what the process is doing."""

    response: str | None = None


class ReferenceProcess(HelperProcess[ReferenceReply]):
    """Starts and talks to the reference process. `start`, `ask` and `close` from any thread, `read` from one."""

    SERVER: ClassVar[str] = "looptop.engine.helpers.reference_server"
    NAME: ClassVar[str] = "the reference process"

    def __init__(self) -> None:
        super().__init__(ReferenceReply)

    def ask(self, request: ReferenceRequest) -> None:
        """Sends a request; its replies come from `read`. Requests are answered one after another.

        Raises:
            LooptopError: The process is not running; start it again.
        """
        self.send(request.id, msgspec.structs.replace(request, run=sendable(request.run)))
