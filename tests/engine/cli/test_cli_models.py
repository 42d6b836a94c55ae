"""Commands that load a model: ask, eval, predict; and one real run, stopped with ctrl-C, resumed, and asked."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
from PIL import Image

from looptop.engine.asked.questions import AskedQuestions
from looptop.engine.asked.store import NAME, AskedStore
from looptop.engine.cli import answers as answers_command
from looptop.engine.cli.main import main
from looptop.engine.home import READ_ONLY
from looptop.engine.journal.reader import Journal
from looptop.engine.runs.folder import RunFolder
from looptop.engine.vqa.answers.answerer import Answerer
from tests.engine import fake_engine
from tests.engine.cli.commands import Capture, refused, told
from tests.factories.asked import damaged
from tests.factories.threads import one_thread
from tests.factories.vqa import save, tiny_model
from tests.support import eventually

__all__ = ["one_thread"]

IMAGES = {"1": "red", "2": "blue", "3": "black"}
QUESTIONS = [("1", "is it red?"), ("1", "what color is it?"), ("2", "is there a circle?"), ("3", "what shape?")]
ANSWERS = ["yes", "red", "no", "triangle"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny model with random weights."""
    folder = tmp_path_factory.mktemp("model")
    return str(save(*tiny_model(folder / "parts"), folder / "vqa"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images with a table, and the same in the official formats."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "images").mkdir()
    for name, color in IMAGES.items():
        Image.new("RGB", (40, 30), color).save(folder / "images" / f"COCO_val2014_{int(name):012}.png")
    rows = [
        f"images/COCO_val2014_{int(image):012}.png,{question},{answer}"
        for (image, question), answer in zip(QUESTIONS, ANSWERS, strict=True)
    ]
    (folder / "questions.csv").write_text("\n".join(["image,question,answer", *rows]) + "\n")
    questions = [
        {"question_id": index, "image_id": int(image), "question": question}
        for index, (image, question) in enumerate(QUESTIONS)
    ]
    annotations = [
        row | {"answers": [{"answer": answer}] * 10, "question_type": "is", "answer_type": "other"}
        for row, answer in zip(questions, ANSWERS, strict=True)
    ]
    (folder / "q.json").write_text(json.dumps({"questions": questions}))
    (folder / "a.json").write_text(json.dumps({"annotations": annotations}))
    return folder


@pytest.fixture
def image(data: Path) -> str:
    return str(data / "images" / "COCO_val2014_000000000001.png")


# Ask --------------------------------------------------------------------------------------------------------------


def test_ask(capsys: Capture, model: str, image: str) -> None:
    answer = told(capsys, "ask", image, "is it red?", "--model", model, "--top", "3")
    keys = ["answer", "confidence", "raw_confidence", "calibrated", "doubts", "unchecked", "candidates", "tokens"]
    assert list(answer) == [*keys, "model"] and answer["unchecked"] == ["words", "image"]
    assert (answer["raw_confidence"], answer["calibrated"], answer["doubts"]) == (answer["confidence"], False, [])
    candidates = answer["candidates"]
    assert len(candidates) == len({each["answer"] for each in candidates}) == 3
    assert candidates[0] == {key: answer[key] for key in ("answer", "confidence", "raw_confidence")}
    confidences = [each["confidence"] for each in candidates]
    assert confidences == sorted(confidences, reverse=True) and sum(confidences) <= 1
    product = math.prod(token["probability"] for token in answer["tokens"])
    assert product == pytest.approx(answer["raw_confidence"], rel=1e-5)
    assert answer["model"] == model
    assert main(["ask", image, "is it red?", "--model", model]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{answer['answer']}  (") and "tokens:" in out and err == ""
    assert "; raw, not calibrated)" in out and "unchecked: unknown words, unfamiliar image; `looptop" in out


def test_an_answer_is_among_the_earlier_questions(
    capsys: Capture, model: str, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = told(capsys, "ask", image, " is it red? ", "--model", model, "--top", "3")
    monkeypatch.setenv("LOOPTOP_READONLY", "1")
    told(capsys, "ask", image, "is it blue?", "--model", model)
    monkeypatch.delenv("LOOPTOP_READONLY")
    asked = AskedQuestions()
    (entry,) = asked.entries(asked.ids()).values()
    assert (entry.image, entry.question, entry.answer.model) == (Path(image).absolute(), "is it red?", model)
    assert [each.answer for each in entry.answer.candidates] == [each["answer"] for each in answer["candidates"]]
    assert entry.image_stamp and entry.model_stamp and entry.right is None


@pytest.mark.parametrize("harm", ["damaged", "locked"])
def test_a_history_that_cannot_be_used_costs_no_answer(
    capsys: Capture, model: str, image: str, home: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    monkeypatch.setattr("looptop.engine.asked.store.BUSY_SECONDS", 0.01)
    if harm == "damaged":
        damaged(home / NAME)
    else:
        AskedStore(home / NAME).close()
    other = sqlite3.connect(home / NAME, isolation_level=None)
    if harm == "locked":
        other.execute("BEGIN EXCLUSIVE")
    assert main(["ask", image, "is it red?", "--model", model, "--json"]) == 0
    other.close()
    out, notes = capsys.readouterr()
    assert json.loads(out)["answer"]
    assert notes.endswith("questions and answers are not kept\n") and notes.count("\n") == 1


def test_what_a_library_prints_is_no_part_of_the_answer(
    capsys: Capture, model: str, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Answerer.load

    def noisy(name: str, device: str = "auto") -> Answerer:
        print("a library's opinion")
        return load(name, device)

    monkeypatch.setattr(Answerer, "load", noisy)
    assert told(capsys, "ask", image, "is it red?", "--model", model)["answer"]


def test_an_answer_cannot_act_on_the_terminal(
    capsys: Capture, model: str, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "looptop.engine.vqa.model.processing.VqaProcessor.decode", lambda _self, _ids: "\x1b[31mred\u202e"
    )
    main(["ask", image, "is it red?", "--model", model])
    out, _ = capsys.readouterr()
    assert out.startswith("␛[31mred\ufffd  (")
    assert "\x1b" not in out and "\u202e" not in out


@pytest.mark.parametrize("question", ["这是什么颜色?", "[bold]is it[/] \x1b[31mred?", "\udcff?", "is it red? " * 2])
def test_any_question_is_answered(capsys: Capture, model: str, image: str, question: str) -> None:
    assert told(capsys, "ask", image, question, "--model", model)["candidates"]


@pytest.mark.parametrize(("question", "note"), [("这是什么颜色", True), ("这是 red", False)])
def test_a_question_without_a_known_word_is_answered_with_a_warning(
    capsys: Capture, model: str, image: str, question: str, note: bool
) -> None:
    assert main(["ask", image, question, "--model", model, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["candidates"]
    assert err == ("the model knows no word of this question\n" if note else "")
    doubts = [{"type": "no_word_known"}] if note else []
    assert json.loads(out)["doubts"] == doubts


def test_wrong_input_is_reported_before_a_model_is_loaded(
    capsys: Capture, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answerer, "load", lambda *_words, **_options: pytest.fail("a model was loaded"))
    assert refused(capsys, "ask", "", "is it red?") == "IMAGE is empty; give the path of an image file"
    assert refused(capsys, "ask", image, "").startswith("the question is empty")
    assert refused(capsys, "ask", image, "red?", "--top", "101") == "--top is 101; it must be from 1 to 100"
    assert refused(capsys, "ask", image, "red?", "--top", "0").startswith("--top is 0")
    assert refused(capsys, "ask", str(tmp_path / "none.png"), "red?").startswith("there is no image")


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("", "the question is empty; ask something about the image"),
        (" \n", "the question is empty; ask something about the image"),
        ("red " * 2500, "the question has 2,502 tokens (words or parts of words), more than the 24 that the model"),
    ],
)
def test_a_question_that_cannot_be_asked(capsys: Capture, model: str, image: str, question: str, expected: str) -> None:
    assert refused(capsys, "ask", image, question, "--model", model).startswith(expected)


def test_an_image_that_cannot_be_opened(capsys: Capture, model: str, image: str, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "cut.png").write_bytes(Path(image).read_bytes()[:60])
    for name in ("empty.png", "text.png", "cut.png", "none.png", "\x1b[31m.png", "."):
        refused(capsys, "ask", str(tmp_path / name), "is it red?", "--model", model)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "nobody"], "there is no model 'nobody'"),
        (["--model", "vqa-3:checkpoint-4"], "there is no run 'vqa-3'"),
        (["--model", "\x1b[31m"], "there is no model '␛[31m'"),
        (["--device", "cuda:99"], ""),
        (["--device", "toaster"], ""),
    ],
)
def test_a_model_or_device_that_does_not_exist(capsys: Capture, image: str, words: list[str], expected: str) -> None:
    assert refused(capsys, "ask", image, "is it red?", *words).startswith(expected)


NOBODY = "there is no model 'nobody'"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ask", "IMAGE", "red?", "--model", "nobody"), NOBODY),
        (("ask", "IMAGE", "red?", "--device", "toaster"), "device is 'toaster'"),
        (("ask", "--images", "FOLDER", "red?", "--model", "nobody"), NOBODY),
        (("ask", "--images", "FOLDER", "red?", "--out", "/proc/answers.csv"), "cannot write /proc/answers.csv"),
        (("predict", "nobody", "--questions", "Q", "--images", "FOLDER", "--out", "FOLDER/r.json"), NOBODY),
        (("eval", "nobody"), NOBODY),
        (("eval", "bundled", "--compare", "nobody"), NOBODY),
        (("eval", "bundled", "--data", "nowhere:test"), "there is no data 'nowhere'"),
        (("eval", "bundled", "--set", "data.nonsense=1"), "there is no setting 'data.nonsense'"),
        (("eval", "bundled", "--device", "toaster"), "device is 'toaster'"),
    ],
)
def test_what_cannot_work_is_refused_before_a_model_is_loaded(
    capsys: Capture, image: str, words: tuple[str, ...], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load() -> NoReturn:
        raise AssertionError("a model is being loaded")

    for command in ("ask", "ask_many", "predict", "evaluate"):
        monkeypatch.setattr(f"looptop.engine.cli.{command}.quiet_libraries", load)
    named = [word.replace("IMAGE", image).replace("FOLDER", str(Path(image).parent)) for word in words]
    assert refused(capsys, *named).startswith(expected)


# Calibrate --------------------------------------------------------------------------------------------------------


def test_a_model_without_calibration_gets_one(
    capsys: Capture, model: str, data: Path, image: str, tmp_path: Path
) -> None:
    folder = str(shutil.copytree(model, tmp_path / "model"))
    about = ["--set", f"data.source={data}", "--set", "data.validation_fraction=0.5"]
    fitted = told(capsys, "calibrate", folder, *about)
    assert fitted["calibration"]["questions"] > 0 and fitted["words"] >= 2 and fitted["images"] == 0
    answer = told(capsys, "ask", image, "is the wug red?", "--model", folder)
    assert answer["calibrated"] and 0 < answer["confidence"] <= 1
    assert "wug" in answer["doubts"][0]["words"]
    assert main(["calibrate", folder, *about]) == 0
    out, _ = capsys.readouterr()
    assert out.startswith("temperature ") and "too few validation images" in out
    assert main(["ask", image, "is it red?", "--model", folder]) == 0
    assert capsys.readouterr().out.endswith("  unchecked: unfamiliar image\n"), "calibrating again adds nothing"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["calibrate", "bundled"], "the bundled model is calibrated already"),
        (["calibrate", "MODEL"], "the training data of MODEL are unknown; name them with --set data.source=FOLDER"),
        (["calibrate", "vqa-77"], "there is no model 'vqa-77'"),
        (["--readonly", "calibrate", "MODEL"], "nothing was changed: looptop was started with --readonly"),
    ],
)
def test_a_model_that_cannot_be_calibrated(
    capsys: Capture, model: str, words: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(READ_ONLY, "")
    named = [word.replace("MODEL", model) for word in words]
    assert refused(capsys, *named).startswith(expected.replace("MODEL", model))


# Eval, predict, score ---------------------------------------------------------------------------------------------


def test_eval_agrees_with_predict_and_score(capsys: Capture, model: str, data: Path, tmp_path: Path) -> None:
    files = ["--questions", str(data / "q.json")]
    out = tmp_path / "r.json"
    printed = told(capsys, "predict", model, *files, "--images", str(data / "images"), "--out", str(out))
    assert (printed["n"], printed["unanswered"]) == (len(QUESTIONS), 0)
    results = json.loads(out.read_text())
    assert [row["question_id"] for row in results] == list(range(len(QUESTIONS)))
    # Let one of the answers be right.
    annotations = json.loads((data / "a.json").read_text())
    annotations["annotations"][0]["answers"] = [{"answer": results[0]["answer"]}] * 10
    (tmp_path / "a.json").write_text(json.dumps(annotations))
    score = told(capsys, "score", *files, "--annotations", str(tmp_path / "a.json"), "--results", str(out))
    right = score["overall"] / 100
    assert 0 < right <= 1
    settings = {"questions": data / "q.json", "annotations": tmp_path / "a.json", "images": data / "images"}
    words = [word for key, path in settings.items() for word in ("--set", f"data.{key}={path}")]
    measured = told(capsys, "eval", model, "--data", "vqa-v2", *words)
    assert (measured["accuracy"], measured["n"]) == (pytest.approx(right), 4)
    assert measured["by_answer_type"] == {"other": pytest.approx(right)}


def test_eval_of_a_folder(capsys: Capture, model: str, data: Path) -> None:
    measured = told(capsys, "eval", model, "--data", str(data))
    assert measured["n"] == 4 and set(measured["by_answer_type"]) == {"yes/no", "other"}
    assert told(capsys, "eval", model, "--data", str(data), "--limit", "1")["n"] == 1
    assert main(["eval", model, "--data", str(data)]) == 0
    assert f"of 4 questions of {data}" in capsys.readouterr().out
    assert "has no test split" in refused(capsys, "eval", model, "--data", f"{data}:test")


def test_eval_compares_two_models_on_the_same_questions(capsys: Capture, model: str) -> None:
    assert main(["eval", "bundled", "--compare", model, "--limit", "60"]) == 0
    out = capsys.readouterr().out
    for words in ("95 % interval", "question only", "shuffled images", "calibration error", "at 1 % risk", "hardest"):
        assert words in out
    assert f"{model} compared with bundled on the same 60 questions" in out
    assert "McNemar p < 0.0001" in out
    assert "nan" not in out.lower()
    comparison = told(capsys, "eval", "bundled", "--compare", model, "--limit", "60")["comparison"]
    assert comparison["difference"]["high"] < -0.5
    assert comparison["only_first"] == len(comparison["changed"]) - comparison["only_second"] > 30


def test_eval_of_one_question_has_no_interval(capsys: Capture) -> None:
    assert main(["eval", "bundled", "--limit", "1"]) == 0
    out = capsys.readouterr().out
    assert "n/a" in out and "nan" not in out.lower()


def test_eval_of_easy_vqa(capsys: Capture, model: str) -> None:
    measured = told(capsys, "eval", model, "--limit", "300")
    assert measured["n"] == 300 and 0 <= measured["accuracy"] <= 1
    assert refused(capsys, "eval", model, "--data", "easy-vqua").startswith("there is no data 'easy-vqua'")


def test_a_question_that_cannot_be_answered_costs_no_other(
    capsys: Capture, model: str, data: Path, tmp_path: Path
) -> None:
    questions = json.loads((data / "q.json").read_text())["questions"]
    questions += [
        {"question_id": 7, "image_id": 999, "question": "is it there?"},
        {"question_id": 8, "image_id": 1, "question": "  "},
        {"question_id": 9, "image_id": 1, "question": "is it red " * 30},
    ]
    (tmp_path / "q.json").write_text(json.dumps({"questions": questions}))
    out = tmp_path / "r.json"
    words = ["predict", model, "--questions", str(tmp_path / "q.json"), "--images", str(data / "images"), "--out"]
    assert main([*words, str(out)]) == 0
    printed, err = capsys.readouterr()
    assert printed == f"4 of 7 questions answered, in {out}\n"
    assert "question 7 has no answer: " in err and "question 8 has no answer: the question is empty" in err
    assert "question 9 has no answer: the question has " in err and "more than the 24 that the model reads" in err
    answers = {row["question_id"]: row["answer"] for row in json.loads(out.read_text())}
    assert answers[7] == answers[8] == "" and all(answers[index] for index in range(4))
    (tmp_path / "q.json").write_text(json.dumps({"questions": questions[4:6]}))
    assert refused(capsys, *words, str(tmp_path / "none.json")).startswith("none of the 2 questions could be answered")
    assert not (tmp_path / "none.json").exists()


class Killed(Exception):
    """Raised to end the program in the middle of its work."""


def kill_after(patch: pytest.MonkeyPatch, batches: int) -> list[int]:
    """Makes `predict` answer one question a batch and end after some; returns the number of questions of each batch."""
    asked: list[int] = []
    real = answers_command._answer

    def answer(answerer: Any, questions: list[str], features: Any) -> list[str]:
        if len(asked) == batches:
            raise Killed
        asked.append(len(questions))
        return real(answerer, questions, features)

    patch.setattr(answers_command, "BATCH_SIZE", 1)
    patch.setattr(answers_command, "_answer", answer)
    return asked


def test_predict_that_was_killed_continues_where_it_was(
    capsys: Capture, model: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["predict", model, "--questions", str(data / "q.json"), "--images", str(data / "images"), "--out"]
    told(capsys, *words, str(tmp_path / "whole.json"))
    out, partial = tmp_path / "r.json", tmp_path / "r.json.partial"
    for _ in range(2):  # One more answer each time.
        with monkeypatch.context() as patch, pytest.raises(Killed):
            kill_after(patch, 1)
            main([*words, str(out)])
        assert partial.is_file() and not out.exists()
    with partial.open("ab") as file:
        file.write(b'\n[3, "half an ans')  # Cut by the kill.
    capsys.readouterr()
    with monkeypatch.context() as patch:
        asked = kill_after(patch, 100)
        assert main([*words, str(out)]) == 0
    assert len(asked) == len(QUESTIONS) - 2
    assert f": 2 of {len(QUESTIONS)} answers" in capsys.readouterr().err
    assert out.read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert not partial.exists()


def test_answers_of_other_questions_are_not_taken(
    capsys: Capture, model: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["predict", model, "--images", str(data / "images"), "--out", str(tmp_path / "r.json"), "--questions"]
    partial = tmp_path / "r.json.partial"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_after(patch, 2)
        main([*words, str(data / "q.json")])
    questions = json.loads((data / "q.json").read_text())
    questions["questions"][0]["question"] = "is it blue?"
    (tmp_path / "q.json").write_text(json.dumps(questions))
    capsys.readouterr()
    assert main([*words, str(tmp_path / "q.json")]) == 0
    assert "already in" not in capsys.readouterr().err and not partial.exists()


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe"])
def test_answers_are_not_saved_through_links_or_pipes(
    capsys: Capture, model: str, data: Path, tmp_path: Path, kind: str
) -> None:
    words = ["predict", model, "--images", str(data / "images"), "--out", str(tmp_path / "r.json"), "--questions"]
    partial = tmp_path / "r.json.partial"
    (tmp_path / "mine").write_text("mine")
    if kind == "link":
        partial.symlink_to(tmp_path / "mine")
    elif kind == "hard link":
        partial.hardlink_to(tmp_path / "mine")
    else:
        os.mkfifo(partial)
    assert main([*words, str(data / "q.json")]) == 0
    assert "answers cannot be saved in" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text() == "mine" and (tmp_path / "r.json").is_file()


def test_an_output_that_cannot_be_written_is_reported_first_and_no_draft_is_left(
    capsys: Capture, model: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["predict", model, "--questions", str(data / "q.json"), "--images", str(data / "images"), "--out"]
    monkeypatch.setattr(Answerer, "load", lambda *_words, **_options: pytest.fail("a model was loaded"))
    assert refused(capsys, *words, str(tmp_path)) == f"cannot write {tmp_path}: it is a directory; name a file"
    assert "File name too long" in refused(capsys, *words, str(tmp_path / ("r" * 250)))
    assert refused(capsys, *words, "/dev/null/r.json").startswith("cannot write /dev/null/r.json: ")
    assert list(tmp_path.iterdir()) == []


def test_a_results_file_has_the_mode_that_files_have_and_keeps_its_own(
    capsys: Capture, model: str, data: Path, tmp_path: Path
) -> None:
    words = ["predict", model, "--questions", str(data / "q.json"), "--images", str(data / "images"), "--out"]
    before = os.umask(0o022)
    try:
        told(capsys, *words, str(tmp_path / "r.json"))
        (tmp_path / "mine.json").touch(0o640)
        told(capsys, *words, str(tmp_path / "mine.json"))
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"r.json": 0o644, "mine.json": 0o640}


def test_the_bundled_model(capsys: Capture) -> None:
    assert told(capsys, "eval", "bundled", "--data", "easy-vqa:test", "--limit", "300")["accuracy"] > 0.9


def test_the_demo(capsys: Capture, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    load = Answerer.load

    def loaded(name: str, device: str = "auto") -> Answerer:
        asked.append(name)
        return load(model, device)

    monkeypatch.setattr(Answerer, "load", loaded)
    monkeypatch.chdir(fake_engine.ROOT)
    fake_engine.install(monkeypatch.setattr)
    assert main(["demo"]) == 0
    out, err = capsys.readouterr()
    assert asked == ["bundled", "vqa-1"] and err == ""
    assert out.count("confidence  truth") == 2
    assert "vqa-1  evaluation at step 10: accuracy 75.0 %, loss 0.5" in out
    assert "accuracy on all test questions: 62.50 %" in out and "looptop show vqa-1" in out
    assert RunFolder.find("vqa-1").state() == "finished"
    monkeypatch.setenv("FAKE_TRAINING", "fail")
    assert main(["demo"]) == 1
    assert capsys.readouterr().err.startswith("looptop: vqa-2 failed: ")


# A real run -------------------------------------------------------------------------------------------------------

SMALL = {"max_images": 40, "max_questions": 5, "per_device_train_batch_size": 16, "eval_strategy": "steps"}


def test_a_run_is_stopped_resumed_and_asked(capsys: Capture, image: str) -> None:
    settings = SMALL | {"eval_steps": 100_000, "max_steps": 100_000}
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    with subprocess.Popen(
        [sys.executable, "-m", "looptop.engine", "train", "vqa", *words, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        eventually(lambda: RunFolder.all() and Journal(RunFolder.find("vqa-1").db).last("loss"))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    stopped = json.loads(out)
    assert (stopped["run"], stopped["state"]) == ("vqa-1", "stopped")
    (checkpoint,) = told(capsys, "show", "vqa-1")["checkpoints"]

    # What was trained so far can be asked.
    asked = told(capsys, "ask", image, "is it red?", "--model", f"vqa-1:{checkpoint}")
    assert asked["model"] == f"vqa-1:{checkpoint}"

    folder = RunFolder.find("vqa-1")
    reached = int(checkpoint.removeprefix("checkpoint-"))
    config = folder.config_file.read_text().replace("max_steps = 100000", f"max_steps = {reached + 3}")
    folder.config_file.write_text(config)
    finished = told(capsys, "resume", "vqa-1")
    assert finished["state"] == "finished" and finished["loss"] > 0 and 0 <= finished["accuracy"] <= 1
    steps = [point["step"] for point in told(capsys, "metrics", "vqa-1", "loss")["points"]]
    assert steps == list(range(1, reached + 4))
    measured = told(capsys, "eval", "vqa-1", "--data", "easy-vqa:test", "--limit", "50")
    assert measured["n"] == 50
    assert any(folder.model.iterdir())
