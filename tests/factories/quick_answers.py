"""An answering process that answers at once instead of the one with torch in it."""

from __future__ import annotations

import queue
from collections.abc import Callable

from looptop.engine.helpers.answers import AskReply, AskRequest, BatchAnswer, BatchRequest
from looptop.engine.helpers.process import HelperState
from looptop.engine.vqa.answers.records import Answer, Candidate, TokenProbability
from looptop.engine.vqa.views.records import (
    ImageView,
    Normalised,
    OcclusionMap,
    PreparationStep,
    PreparedPixels,
    Resized,
    TokenAttention,
    TokenView,
    View,
)


class QuickAnswers:
    """Gives the answers that a test chooses."""

    def __init__(self) -> None:
        self.asked: list[AskRequest] = []
        self.replies: queue.Queue[AskReply] = queue.Queue()
        self.answer: Callable[[AskRequest], AskReply] = lambda request: AskReply(id=request.id, answer=answer_of("red"))
        self.view: Callable[[AskRequest], AskReply] = lambda request: AskReply(
            id=request.id, view=view_of(request), state=HelperState.READY
        )
        self.load: Callable[[AskRequest], AskReply] = lambda request: AskReply(id=request.id, state=HelperState.READY)
        self.closed = False

    def start(self) -> None:
        pass

    def ask(self, request: AskRequest | BatchRequest) -> None:
        if isinstance(request, BatchRequest):
            self.answer_batch(request)
            return
        self.asked.append(request)
        if not request.image:
            self.replies.put(self.load(request))
        elif request.view is not None:
            self.replies.put(self.view(request))
        else:
            self.replies.put(self.answer(request))

    def answer_batch(self, request: BatchRequest) -> None:
        each = [
            AskRequest(id=request.id, model=request.model, image=image, question=question)
            for image, question in request.questions
        ]
        answers = [BatchAnswer(answer=reply.answer, error=reply.error or "") for reply in map(self.answer, each)]
        self.replies.put(AskReply(id=request.id, batch=answers, state=HelperState.READY))

    def read(self) -> AskReply:
        return self.replies.get()

    def close(self) -> None:
        self.closed = True
        self.replies.put(AskReply(state=HelperState.ENDED))


def answer_of(text: str, confidence: float = 0.75) -> Answer:
    return Answer(
        answer=text,
        confidence=confidence,
        raw_confidence=0.9,
        calibrated=True,
        candidates=[Candidate(text, confidence, 0.9), Candidate("blue", 0.2, 0.08)],
        tokens=[TokenProbability(text, 0.8), TokenProbability("<end>", 0.94)],
        model="bundled",
        seconds=0.01,
    )


PIXELS = PreparedPixels((4, 4), bytes([200, 100, 50] * 16))


def view_of(request: AskRequest, fusion: str = "tokens") -> View:
    """A view of four patches, of an image of four by four pixels."""
    if request.view == "tokens":
        attention = [
            TokenAttention(" red", [[0.1, 0.2], [0.3, 0.0]]),
            TokenAttention("<end>", [[0.0, 0.0], [0.0, 0.1]]),
        ]
        return TokenView("red", PIXELS, attention)
    if request.view == "occlusion":
        return OcclusionMap("red", PIXELS, 0.75, [[0.75, 0.5], [0.75, 0.125]], (2, 2))
    steps: list[PreparationStep] = [Resized((64, 48), (4, 4), "bilinear"), Normalised([0.5] * 3, [0.5] * 3)]
    return ImageView((64, 48), PIXELS, steps, [[[0.0, 0.2], [0.4, 0.1]], [[0.2, 0.2], [0.2, 0.1]]], fusion)
