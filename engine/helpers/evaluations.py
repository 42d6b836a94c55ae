"""The app's side of the evaluating process: requests, replies, and the process itself (a `HelperProcess`).

    process = EvaluationProcess()
    process.start()
    process.ask(EvaluationRequest(id=1, model="vqa-3"))
    while not (reply := process.read()).ended: ...    # in a thread of the caller's

The results are kept in looptop's home, where the caller reads them. The process runs `evaluation_server.py`.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec import Struct

from looptop.engine.encoding import sendable
from looptop.engine.helpers.process import HelperProcess, HelperReply
from looptop.engine.runs.progress import Progress


class EvaluationRequest(Struct, frozen=True, kw_only=True):
    """A model to evaluate."""

    id: int
    """Chosen by the caller, above 0; the replies carry it."""
    model: str
    data: str = ""
    """`SOURCE:SPLIT` or `SOURCE`; empty for the test or validation split of the model's own data."""
    data_of: str = ""
    """The model whose data is asked; empty for the model itself."""
    settings: tuple[str, ...] = ()
    """Other settings of the data, as `key=value`."""
    limit: int | None = None
    """Only so many questions are asked, the first ones; None for all."""


class EvaluationReply(HelperReply, frozen=True, kw_only=True):
    """The end of an evaluation, or how far it is."""

    progress: Progress | None = None
    notes: tuple[str, ...] = ()
    """What was left out, or could not be kept; one sentence each."""


class EvaluationProcess(HelperProcess[EvaluationReply]):
    """Starts and talks to the evaluating process. `start`, `ask` and `close` from any thread, `read` from one."""

    SERVER: ClassVar[str] = "looptop.engine.helpers.evaluation_server"
    NAME: ClassVar[str] = "the evaluating process"

    def __init__(self) -> None:
        super().__init__(EvaluationReply)

    def ask(self, request: EvaluationRequest) -> None:
        """Sends a request; its replies come from `read`.

        Raises:
            LooptopError: The process is not running; start it again.
        """
        texts = {name: sendable(getattr(request, name)) for name in ("model", "data", "data_of")}
        settings = tuple(sendable(request.settings))
        self.send(request.id, msgspec.structs.replace(request, settings=settings, **texts))
