"""Runs and answers for the app's tests: journals that the real writer wrote, and an answering process that is quick."""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from looptop.engine.config import preset
from looptop.engine.helpers.answers import AskReply, AskRequest
from looptop.engine.journal.reader import AnswerSample, JournalWriter
from looptop.engine.runs.folder import RunFolder, RunState
from looptop.engine.vqa.answer_records import Answer, Candidate, ModelView, TokenProbability


class QuickAnswers:
    """Answers at once what it was told to; stands for the process with torch in it."""

    def __init__(self) -> None:
        self.asked: list[AskRequest] = []
        self.replies: queue.Queue[AskReply] = queue.Queue()
        self.answer: Callable[[AskRequest], AskReply] = lambda request: AskReply(id=request.id, answer=said("red"))
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


def said(text: str, confidence: float = 0.75) -> Answer:
    view = ModelView((4, 4), bytes(48), [[0.0, 1.0], [0.5, 0.25]])
    return Answer(
        answer=text,
        confidence=confidence,
        candidates=[Candidate(text, confidence), Candidate("blue", 0.2)],
        tokens=[TokenProbability(text, 0.8), TokenProbability("<end>", 0.94)],
        model="bundled",
        seconds=0.01,
        view=view,
    )


@pytest.fixture
def answers() -> QuickAnswers:
    return QuickAnswers()


async def until(pilot: Any, holds: Callable[[], object], limit: float = 20.0) -> None:
    """Lets the app go on until something holds."""
    end = time.monotonic() + limit
    while True:
        try:
            if holds():
                return
        except LookupError:
            pass
        if time.monotonic() > end:
            raise AssertionError(f"still not so after {limit} s; the screen:\n{shown(pilot.app)}")
        await pilot.pause(0.02)


def shown(app: Any) -> str:
    """What stands on the screen, as text."""
    size = app.size
    lines = app.screen._compositor.render_strips(size)
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in lines)


def make_run(
    steps: int = 120,
    total: int = 200,
    state: RunState | None = RunState.FINISHED,
    extra: Callable[[JournalWriter], None] | None = None,
) -> RunFolder:
    """A run whose journal the real writer wrote."""
    run = RunFolder.create("vqa", preset("tiny"))
    writer = JournalWriter(run.db)
    writer.state(RunState.RUNNING)
    writer.facts(total_steps=total, device="cpu", precision="fp32", n_train=1000, n_validation=50, parameters=901_234)
    for step in range(1, steps + 1):
        writer.metrics(
            step,
            {
                "loss": 2 * math.exp(-step / 40),
                "learning_rate": 1e-3,
                "grad_norm": 0.5,
                "samples_per_second": 1234.0,
                "seconds_left": float(total - step),
                "epoch": step / 20,
            },
        )
        if step % 40 == 0:
            writer.metrics(step, {"eval_loss": 1.0 / step, "eval_accuracy": step / total})
            writer.answer_samples(step, [AnswerSample("1", "1.png", f"what is it at {step}?", "red", "red", 0.9, 1.0)])
    writer.event("checkpoint", "checkpoint of step 120 written", 120)
    if extra is not None:
        extra(writer)
    if state is not None:
        writer.state(state)
    writer.close()
    return run


Wait = Callable[[Any, Callable[[], object]], Awaitable[None]]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """An image of a person's own."""
    from PIL import Image

    path = tmp_path / "my picture.png"
    Image.new("RGB", (30, 20), "orange").save(path)
    return path
