"""The reference's response to a sample's query, where the run did not journal it: from a helper process, on demand.

    process = ReferenceProcess()
    process.start()
    process.ask(ReferenceRequest(id=1, run=str(folder.path), step=12, row=3))
    while not (reply := process.read()).ended: ...    # in a thread of the asker's

What runs in it is `reference_server.py`.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec import Struct

from looptop.engine.helpers.process import HelperProcess, Reply, sendable


class ReferenceRequest(Struct, frozen=True, kw_only=True):
    """A sample whose query the reference shall respond to."""

    id: int
    """Chosen by the asker, above 0; comes back with the reply."""
    run: str
    """The run's folder."""
    step: int
    row: int


class ReferenceReply(Reply, frozen=True, kw_only=True):
    """What became of it, or what the process is doing."""

    response: str | None = None


class ReferenceProcess(HelperProcess[ReferenceReply]):
    """Starts and talks to the process. `start`, `ask` and `close` from any thread, `read` from one."""

    SERVER: ClassVar[str] = "looptop.engine.helpers.reference_server"
    NAME: ClassVar[str] = "the reference's process"

    def __init__(self) -> None:
        super().__init__(ReferenceReply)

    def ask(self, request: ReferenceRequest) -> None:
        """Sends a request; its replies come from `read`. Requests are answered one after another.

        Raises:
            LooptopError: The process is not there; start it (again).
        """
        self.send(request.id, msgspec.structs.replace(request, run=sendable(request.run)))
