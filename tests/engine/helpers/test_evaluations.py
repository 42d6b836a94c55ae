"""The evaluating process: what it reports and replies."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest

from looptop.engine.helpers.evaluation_server import Server
from looptop.engine.helpers.evaluations import EvaluationProcess, EvaluationReply, EvaluationRequest
from looptop.engine.vqa.evaluation import kept
from looptop.engine.vqa.model.saved_models import folder_of


def replies_to(request: EvaluationRequest, home: Path) -> list[EvaluationReply]:
    out = io.BytesIO()
    Server(out, home / "evaluations.log").serve(msgspec.json.encode(request))
    return [msgspec.json.decode(line, type=EvaluationReply) for line in out.getvalue().splitlines()]


def test_an_evaluation_is_reported_and_kept(home: Path) -> None:
    *reports, last = replies_to(EvaluationRequest(id=3, model="bundled", limit=20), home)
    texts = [reply.progress.text for reply in reports if reply.progress is not None]
    assert list(dict.fromkeys(texts)) == [
        "loading the model",
        "reading the questions",
        "keeping the image encoder's features",
        "answering the questions",
    ]
    assert {reply.id for reply in (*reports, last)} == {3}
    assert last.done and last.error is None and last.notes == ()
    evaluation = kept.latest(folder_of("bundled"))
    assert evaluation is not None
    assert (evaluation.limit, evaluation.accuracy.questions, evaluation.data) == (20, 20, "easy-vqa:test")


@pytest.mark.parametrize(("model", "data"), [("vqa-9", ""), ("bundled", "nowhere")])
def test_what_cannot_be_evaluated_is_refused_in_a_sentence(home: Path, model: str, data: str) -> None:
    last = replies_to(EvaluationRequest(id=1, model=model, data=data), home)[-1]
    assert last.done and last.error is not None and last.error.startswith("there is no ")


def test_a_process_that_is_closed_ends_its_evaluation() -> None:
    process = EvaluationProcess()
    process.start()
    process.ask(EvaluationRequest(id=1, model="bundled"))
    process.close()
    replies = []
    while not (reply := process.read()).ended:
        replies.append(reply)
    assert not any(reply.done and reply.error is None for reply in replies)
