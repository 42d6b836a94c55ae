"""The reference's response on demand: the one that the run itself would have journalled."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import pytest

from looptop.engine.config import preset
from looptop.engine.helpers.reference_server import Server
from looptop.engine.helpers.references import ReferenceProcess, ReferenceReply, ReferenceRequest
from looptop.engine.ppo.journal import PpoJournal
from looptop.engine.runs.folder import RunFolder
from looptop.engine.startup.run import start
from tests.factories.ppo import ppo_config


def ask(server: Server, run: RunFolder, step: int, row: int) -> list[ReferenceReply]:
    server.replies = written = io.BytesIO()
    server.serve(msgspec.json.encode(ReferenceRequest(id=1, run=str(run.path), step=step, row=row)))
    return [msgspec.json.decode(line, type=ReferenceReply) for line in written.getvalue().splitlines()]


@pytest.mark.parametrize("family", ["t5", "gpt2"])
def test_it_writes_what_the_run_would_have_had_it_write(tmp_path: Path, family: str) -> None:
    settings = ("max_steps=3", "reference_responses=8", "learning_rate=0.02", "kl_limit=1e6")
    run = start(ppo_config(tmp_path, *settings, family=family))
    run.wait()
    samples = PpoJournal(run.folder.db).samples(3)
    server = Server(io.BytesIO(), tmp_path / "log")
    replies = [ask(server, run.folder, 3, sample.row) for sample in samples]
    assert [reply[-1].response for reply in replies] == [sample.reference_response for sample in samples]
    assert any(sample.response != sample.reference_response for sample in samples)
    assert replies[0][0].activity.startswith("loading") and [len(reply) for reply in replies[1:]] == [1] * 7


def test_what_is_missing_is_one_sentence(tmp_path: Path) -> None:
    server = Server(io.BytesIO(), tmp_path / "log")
    run = RunFolder.create("ppo", preset("tiny", "ppo"))
    assert ask(server, run, 3, 4)[-1].error == f"{run.id} has no sample 4 of batch 3"


def test_the_process_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(ppo_config(tmp_path, "max_steps=1", "eval_steps=1"))
    run.wait()
    known = PpoJournal(run.folder.db).sample(1, 0)
    assert known is not None
    process = ReferenceProcess()
    process.start()
    process.ask(ReferenceRequest(id=7, run=str(run.folder.path), step=1, row=0))
    while not (reply := process.read()).done:
        assert not reply.ended
    process.close()
    assert (reply.id, reply.response, reply.error) == (7, known.reference_response, None)
    assert json.loads(msgspec.json.encode(reply))["state"] == "ready"
