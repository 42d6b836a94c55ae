"""The app's side of the answering process: requests, replies, and the process itself (a `HelperProcess`).

    process = AnswerProcess()
    process.start()
    process.ask(AskRequest(id=1, model="bundled", image="picture.png", question="is there a circle?"))
    while not (reply := process.read()).ended: ...    # in a thread of the caller's

The process runs `answer_server.py`.
"""

from __future__ import annotations

import os
from typing import ClassVar

from msgspec import Struct

from looptop.engine.encoding import sendable
from looptop.engine.helpers.process import HelperProcess, HelperReply, HelperState
from looptop.engine.vqa.answers.records import Answer
from looptop.engine.vqa.views.records import Progress, View, ViewKind

SERVER = "looptop.engine.helpers.answer_server"


class AskRequest(Struct, frozen=True, kw_only=True):
    """A question about an image, or a view of one. Without an image, the model is only loaded, so that the first answer
    comes sooner.
    """

    id: int
    """Chosen by the caller, above 0; the replies carry it."""
    model: str
    image: str = ""
    """Path of the file."""
    question: str = ""
    """Not needed for the view `image`."""
    top: int = 5
    view: ViewKind | None = None
    """The view to make instead of an answer. An occlusion map is made while no other request waits; a later one
    replaces it."""
    device: str = "auto"


class BatchRequest(Struct, frozen=True, kw_only=True):
    """Several questions, each about an image. Questions about the same image should follow each other."""

    id: int
    """Chosen by the caller, above 0; the replies carry it."""
    model: str
    questions: tuple[tuple[str, str], ...]
    """Path of the image, and question, of each."""
    device: str = "auto"


class WireRequest(Struct, frozen=True, kw_only=True):
    """A request as it is sent. The path is bytes, because it may not be valid text, which JSON requires."""

    id: int
    model: str
    image: bytes
    question: str
    top: int
    view: ViewKind | None
    device: str
    batch: list[tuple[bytes, str]] = []
    """The questions of a batch; then `image` and `question` are empty."""


class BatchAnswer(Struct, frozen=True, kw_only=True):
    """The answer to one question of a batch, or why there is none."""

    answer: Answer | None = None
    error: str = ""


class AskReply(HelperReply, frozen=True, kw_only=True):
    """The answer to a question, a view, or what the process is doing."""

    answer: Answer | None = None
    view: View | None = None
    batch: list[BatchAnswer] | None = None
    """The answers to a batch, in the order of its questions."""
    progress: Progress | None = None
    """How far the occlusion map is."""

    @property
    def done(self) -> bool:
        """Whether this is the last reply to its request."""
        has_result = any(each is not None for each in (self.answer, self.batch, self.view, self.error))
        return self.id > 0 and (has_result or self.state is HelperState.READY)


class AnswerProcess(HelperProcess[AskReply]):
    """Starts and talks to the answering process. `start`, `ask` and `close` from any thread, `read` from one."""

    SERVER: ClassVar[str] = SERVER

    def __init__(self) -> None:
        super().__init__(AskReply)

    def ask(self, request: AskRequest | BatchRequest) -> None:
        """Sends a request; its replies come from `read`. Requests are answered one after another, occlusion
        maps last.

        Raises:
            LooptopError: The process is not running; start it again.
        """
        self.send(request.id, _wire(request))


def _wire(request: AskRequest | BatchRequest) -> WireRequest:
    if isinstance(request, BatchRequest):
        return WireRequest(
            id=request.id,
            model=sendable(request.model),
            image=b"",
            question="",
            top=1,
            view=None,
            device=request.device,
            batch=[(os.fsencode(image), sendable(question)) for image, question in request.questions],
        )
    return WireRequest(
        id=request.id,
        model=sendable(request.model),
        image=os.fsencode(request.image),
        question=sendable(request.question),
        top=request.top,
        view=request.view,
        device=request.device,
    )
