"""The answering process and its caller: replies, errors, the end of the process, starting it again."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from looptop.engine.errors import LooptopError
from looptop.engine.helpers import answer_server
from looptop.engine.helpers.answer_server import Server
from looptop.engine.helpers.answers import SERVER, AnswerProcess, AskReply, AskRequest, WireRequest
from looptop.engine.helpers.process import HelperState
from looptop.engine.vqa.answers.answerer import Answerer
from looptop.engine.vqa.views.records import ImageView, OcclusionMap, Progress, TokenView, ViewKind
from tests.factories.vqa import QUESTIONS, pictures, save, tiny_model
from tests.support import eventually


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home, a model and a picture."""
    folder = tmp_path_factory.mktemp("asked")
    save(*tiny_model(folder / "parts", "tokens"), folder / "model")
    pictures()[0].save(folder / "picture.png")
    return folder


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[AnswerProcess]:
    """One process for all tests that do not end it, since it takes seconds to load torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOOPTOP_HOME", str(folder / "home"))
        patch.setenv("OMP_NUM_THREADS", "1")
        process = AnswerProcess()
        process.start()
    seen = [process.read().state, process.read().state]
    assert seen == [HelperState.STARTING, HelperState.READY]
    yield process
    process.close()


def request(folder: Path, number: int, **changes: Any) -> AskRequest:
    asked = {"model": str(folder / "model"), "image": str(folder / "picture.png"), "question": QUESTIONS[0]}
    return AskRequest(id=number, **asked | changes)


def last_reply(process: AnswerProcess, number: int) -> AskReply:
    """The reply that ends the request."""
    while not (reply := process.read()).done:
        assert not reply.ended
    assert reply.id == number
    return reply


def pid(process: AnswerProcess) -> int:
    return process._children[-1].process.pid


def test_it_answers_as_the_model_does_and_says_what_it_is_doing(folder: Path, shared: AnswerProcess) -> None:
    shared.ask(request(folder, 1, top=3))
    replies = [shared.read()]
    while not replies[-1].done:
        replies.append(shared.read())
    expected = Answerer.load(str(folder / "model")).answer(folder / "picture.png", QUESTIONS[0], top=3)

    *doing, reply = replies
    assert [one.activity for one in doing] in ([f"loading {folder / 'model'}"], [])
    assert (reply.id, reply.error, reply.state) == (1, None, HelperState.READY)
    assert reply.answer is not None
    assert reply.answer.answer == expected.answer
    assert reply.answer.confidence == pytest.approx(expected.confidence, abs=1e-5)
    assert [c.answer for c in reply.answer.candidates] == [c.answer for c in expected.candidates]


def test_requests_are_answered_one_after_another(folder: Path, shared: AnswerProcess) -> None:
    for number in range(10, 20):
        shared.ask(request(folder, number))
    assert [last_reply(shared, number).id for number in range(10, 20)] == list(range(10, 20))


def test_a_model_can_be_loaded_before_it_is_asked(folder: Path, shared: AnswerProcess) -> None:
    shared.ask(AskRequest(id=20, model=str(folder / "model")))
    reply = last_reply(shared, 20)
    assert (reply.answer, reply.error) == (None, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": "/nowhere/at all.png"}, "at all.png"),
        ({"image": "/tmp/\udcff\udcfe.png"}, "png"),
        ({"question": ""}, "question is empty"),
        ({"question": "is it so? " * 1000}, "more than the 24 that the model reads"),
        ({"model": "vqa-77"}, "vqa-77"),
        ({"model": "\ud800"}, "model"),
        ({"device": "cuda:99"}, "cuda:99"),
        ({"top": 0}, "at least one"),
    ],
)
def test_what_a_person_can_get_wrong_is_one_sentence_and_the_process_lives_on(
    folder: Path, shared: AnswerProcess, changes: dict[str, Any], message: str
) -> None:
    shared.ask(request(folder, 30, **changes))
    reply = last_reply(shared, 30)
    assert reply.error is not None and message in reply.error and "\n" not in reply.error
    shared.ask(request(folder, 31))
    assert last_reply(shared, 31).answer is not None


def test_an_error_in_looptop_is_in_the_log_and_the_process_continues(folder: Path, shared: AnswerProcess) -> None:
    shared.ask(request(folder, 40, top="five"))
    shared.ask(request(folder, 41))
    reply = shared.read()
    log = folder / "home" / "answers.log"
    assert (
        reply.error is not None
        and "an error in looptop itself (ValidationError)" in reply.error
        and str(log) in reply.error
    )
    assert "Traceback" in log.read_text() and log.stat().st_mode & 0o777 == 0o600
    assert last_reply(shared, 41).answer is not None


def test_ctrl_c_in_the_terminal_is_not_for_it(folder: Path, shared: AnswerProcess) -> None:
    assert os.getsid(pid(shared)) != os.getsid(0)
    os.kill(pid(shared), signal.SIGINT)
    shared.ask(request(folder, 50))
    assert last_reply(shared, 50).answer is not None


def test_it_is_nicer_than_whoever_asks(shared: AnswerProcess) -> None:
    assert psutil.Process(pid(shared)).nice() == min(19, psutil.Process().nice() + 5)


def test_it_is_started_once(shared: AnswerProcess) -> None:
    before = pid(shared)
    shared.start()
    assert pid(shared) == before and shared.running


def test_a_killed_process_is_reported_and_can_be_started_again(folder: Path) -> None:
    process = AnswerProcess()
    process.start()
    assert [process.read().state, process.read().state] == [HelperState.STARTING, HelperState.READY]
    os.kill(pid(process), signal.SIGSTOP)  # It would soon have answered.
    process.ask(request(folder, 1))
    process.ask(request(folder, 2))
    os.kill(pid(process), signal.SIGKILL)

    for number in (1, 2):
        reply = process.read()
        assert (reply.id, reply.done, reply.ended) == (number, True, False)
        assert reply.error is not None and "SIGKILL" in reply.error
    reply = process.read()
    assert reply.ended and reply.error is not None and "SIGKILL" in reply.error
    assert process.read().ended and not process.running
    with pytest.raises(LooptopError, match="start it again"):
        process.ask(request(folder, 3))

    process.start()
    assert process.read().state is HelperState.STARTING
    process.close()


def test_starting_again_before_the_end_was_read_loses_no_request(folder: Path) -> None:
    process = AnswerProcess()
    process.start()
    os.kill(pid(process), signal.SIGSTOP)  # It would soon have answered.
    process.ask(request(folder, 1))
    os.kill(pid(process), signal.SIGKILL)
    eventually(lambda: not process.running)
    process.start()

    replies: list[AskReply] = []
    while not replies or replies[-1].state is not HelperState.STARTING or len(replies) < 2:
        replies.append(process.read())
        assert not replies[-1].ended
    assert [reply.id for reply in replies if reply.error] == [1]
    process.close()
    assert process.read().ended


def test_a_closed_process_ends_without_an_error() -> None:
    process = AnswerProcess()
    process.close()
    process.start()
    running = psutil.Process(pid(process))
    process.close()
    while not (reply := process.read()).ended:
        pass
    assert reply.error is None
    assert not running.is_running()


def test_it_ends_when_its_asker_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-P", "-m", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None and child.stdout is not None
    assert b"starting" in child.stdout.readline()
    child.stdin.close()
    assert child.wait(timeout=60) == 0
    child.stdout.close()


def test_whatever_is_printed_goes_to_the_log(home: Path) -> None:
    code = (
        "import os, sys\n"
        "from looptop.engine.helpers.server import redirect\n"
        "redirect('answers.log')\n"
        "print('by python', flush=True); os.write(1, b'by the system'); os.system('echo by a child >&2')\n"
        "assert sys.stdin.read() == ''\n"
    )
    (home / "answers.log").write_bytes(b"old" * 400_000)
    result = subprocess.run([sys.executable, "-c", code], input=b"not read", capture_output=True, check=True)
    assert (result.stdout, result.stderr) == (b"", b"")
    log = (home / "answers.log").read_text()
    assert all(message in log for message in ("by python", "by the system", "by a child"))
    assert "old" not in log, "a log that has grown too long is begun anew"


def test_asking_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "import looptop.engine.helpers.answers, looptop.engine.vqa.model.saved_models\n"
        "print([name for name in ('torch', 'transformers', 'datasets', 'PIL', 'numpy') if name in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


# The server, without a process --------------------------------------------------------------------------------------


def serve(server: Server, folder: Path, model: Path, view: ViewKind | None = None, number: int = 1) -> list[AskReply]:
    """The replies to one request."""
    wire = WireRequest(
        id=number, model=str(model), image=os.fsencode(folder / "picture.png"), question=QUESTIONS[0], top=1, view=view,
        device="cpu",
    )  # fmt: skip
    written = io.BytesIO()
    server.replies = written
    server.serve(msgspec.json.encode(wire))
    return read(written)


def read(written: io.BytesIO) -> list[AskReply]:
    return [msgspec.json.decode(line, type=AskReply) for line in written.getvalue().splitlines()]


def test_views_come_without_an_answer(folder: Path, tmp_path: Path) -> None:
    server = Server(io.BytesIO(), tmp_path / "log")
    for kind, record in (("image", ImageView), ("tokens", TokenView)):
        *_, reply = serve(server, folder, folder / "model", kind)  # type: ignore[arg-type]
        assert reply.done and reply.answer is None and isinstance(reply.view, record)


def test_questions_are_answered_before_an_occlusion_map_goes_on(folder: Path, tmp_path: Path) -> None:
    server = Server(io.BytesIO(), tmp_path / "log")
    assert not any(reply.done for reply in serve(server, folder, folder / "model", "occlusion", 1))
    written = io.BytesIO()
    server.replies = written
    server.serve(None)
    (begun,) = read(written)
    assert (begun.id, begun.progress, begun.done) == (1, Progress(0, 16), False)
    assert serve(server, folder, folder / "model", None, 2)[-1].answer is not None
    server.replies = written
    while server.has_work:
        server.serve(None)
    *going, last = read(written)
    assert all(reply.id == 1 for reply in going) and [reply.progress for reply in going][-1] == Progress(16, 16)
    assert (last.id, last.done) == (1, True) and isinstance(last.view, OcclusionMap)


def test_a_later_occlusion_map_replaces_an_earlier_one(folder: Path, tmp_path: Path) -> None:
    server = Server(io.BytesIO(), tmp_path / "log")
    serve(server, folder, folder / "model", "occlusion", 1)
    replies = serve(server, folder, folder / "model", "occlusion", 2)
    assert [(reply.id, reply.done, reply.view) for reply in replies] == [(1, True, None)]
    written = io.BytesIO()
    server.replies = written
    while server.has_work:
        server.serve(None)
    assert {reply.id for reply in read(written)} == {2}


def test_an_occlusion_map_of_no_image_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"")
    server = Server(io.BytesIO(), tmp_path / "log")
    serve(server, tmp_path, folder / "model", "occlusion")
    written = io.BytesIO()
    server.replies = written
    server.serve(None)
    (reply,) = read(written)
    assert reply.done and "is empty" in str(reply.error) and not server.has_work


def test_the_last_models_stay_loaded_and_one_that_was_written_anew_is_loaded_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_server, "MAX_LOADED_BYTES", 0)  # as if they were large
    server = Server(io.BytesIO(), tmp_path / "log")
    models = [Path(shutil.copytree(folder / "model", tmp_path / name)) for name in "abc"]

    def loads(model: Path) -> bool:
        *doing, reply = serve(server, folder, model)
        assert reply.answer is not None and reply.answer.model == str(model)
        return bool(doing)

    assert [loads(models[row]) for row in (0, 0, 1, 0)] == [True, False, True, False]
    assert [loads(models[row]) for row in (2, 0, 1)] == [True, False, True], "the one not asked for longest is dropped"
    assert len(server.loaded) == answer_server.MIN_LOADED_MODELS
    os.utime(models[1] / "model.safetensors", (1, 1))
    assert [loads(models[1]), loads(models[1])] == [True, False]


def test_small_models_stay_loaded_so_that_several_can_be_asked(folder: Path, tmp_path: Path) -> None:
    server = Server(io.BytesIO(), tmp_path / "log")
    models = [Path(shutil.copytree(folder / "model", tmp_path / name)) for name in "abc"]
    assert [len(serve(server, folder, model)) for model in models * 2] == [2, 2, 2, 1, 1, 1]


def test_a_batch_costs_only_the_answers_of_its_bad_questions(folder: Path, tmp_path: Path) -> None:
    written = io.BytesIO()
    (tmp_path / "empty.png").write_bytes(b"")
    good, empty = str(folder / "picture.png"), str(tmp_path / "empty.png")
    asked = [(good, QUESTIONS[0]), (empty, QUESTIONS[0]), (good, "  "), (good, QUESTIONS[1]), (f"{empty}\udcff", "it?")]
    batch = [(os.fsencode(image), question) for image, question in asked]
    wire = WireRequest(
        id=7, model=str(folder / "model"), image=b"", question="", top=1, view=None, device="cpu", batch=batch
    )
    Server(written, tmp_path / "log").serve(msgspec.json.encode(wire))
    reply = read(written)[-1]
    assert reply.done and reply.batch is not None
    errors = [each.error for each in reply.batch]
    assert errors[0] == errors[3] == "" and "is empty" in errors[1] and "empty" in errors[2] and errors[4]
    answerer = Answerer.load(str(folder / "model"), "cpu")
    for row in (0, 3):
        answer = reply.batch[row].answer
        alone = answerer.answer(good, asked[row][1], top=1)
        assert answer is not None and answer.answer == alone.answer
        assert answer.confidence == pytest.approx(alone.confidence, rel=1e-5)


def test_a_line_that_is_no_request_gets_a_reply(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    written = io.BytesIO()
    Server(written, tmp_path / "log").serve(b"{not json\n")
    reply = msgspec.json.decode(written.getvalue(), type=AskReply)
    assert reply.error is not None and "an error in looptop itself" in reply.error
    assert "Traceback" in capfd.readouterr().err
