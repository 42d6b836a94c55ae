"""An answering process that answers at once instead of the one with torch in it."""

from __future__ import annotations

import queue
from collections.abc import Callable

from looptop.engine.helpers.answers import AskReply, AskRequest
from looptop.engine.vqa.answer_records import Answer, Candidate, ModelView, TokenProbability


class QuickAnswers:
    """Gives the answers that a test chooses."""

    def __init__(self) -> None:
        self.asked: list[AskRequest] = []
        self.replies: queue.Queue[AskReply] = queue.Queue()
        self.answer: Callable[[AskRequest], AskReply] = lambda request: AskReply(id=request.id, answer=answer_of("red"))
        self.closed = False

    def start(self) -> None:
        pass

    def ask(self, request: AskRequest) -> None:
        self.asked.append(request)
        if not request.image:
            self.replies.put(AskReply(id=request.id, status="ready"))
        else:
            self.replies.put(self.answer(request))

    def read(self) -> AskReply:
        return self.replies.get()

    def close(self) -> None:
        self.closed = True
        self.replies.put(AskReply(status="ended"))


def answer_of(text: str, confidence: float = 0.75) -> Answer:
    view = ModelView((4, 4), bytes(48), [[0.0, 1.0], [0.5, 0.25]])
    return Answer(
        answer=text,
        confidence=confidence,
        raw_confidence=0.9,
        calibrated=True,
        candidates=[Candidate(text, confidence, 0.9), Candidate("blue", 0.2, 0.08)],
        tokens=[TokenProbability(text, 0.8), TokenProbability("<end>", 0.94)],
        model="bundled",
        seconds=0.01,
        view=view,
    )
