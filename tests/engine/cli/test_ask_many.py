"""`looptop ask --images FOLDER QUESTION`: a table of answers, what is left out, and answers that are kept."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from looptop.engine.cli.main import main
from looptop.engine.vqa.answers.answerer import Answerer
from tests.factories.vqa import pictures, save, tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    save(*tiny_model(folder / "parts"), folder / "model")
    return str(folder / "model")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Four images, one of them in a folder below, a damaged one, and a file that is none."""
    folder = tmp_path / "images"
    (folder / "below").mkdir(parents=True)
    for number, picture in enumerate(pictures()):
        picture.save(folder / "below" / "3.png" if number == 3 else folder / f"{number}.png")
    (folder / "bad.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("no image")
    return folder


def answers_of(out: str) -> dict[str, str]:
    """Answers by image, of a printed table."""
    lines = out.split("\n\n")[0].splitlines()[1:]
    return {words[0]: words[1] for words in (line.split() for line in lines)}


def test_a_table_names_every_image_and_what_is_left_out(
    images: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", "--images", str(images), "what color is the triangle?", "--model", model]) == 0
    out, notes = capsys.readouterr()
    answerer = Answerer.load(model, "cpu")
    one_by_one = {
        name: answerer.answer(images / name, "what color is the triangle?").answer.split()[0]
        for name in ("0.png", "1.png", "2.png", "below/3.png")
    }
    assert answers_of(out) == one_by_one
    assert "4 images: " in out
    assert "left out: notes.txt is no image by its name" in notes and "bad.png" in notes
    assert "image 0/5  0:00 so far" in notes or "image 1/5" in notes


def test_answers_are_kept_so_that_it_goes_on_where_it_ended(
    images: Path, model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["ask", "--images", str(images), "it?", "--model", model]
    assert main(command) == 0
    first = answers_of(capsys.readouterr().out)
    pictures()[0].resize((20, 20)).save(images / "1.png")
    assert main(command) == 0
    out, notes = capsys.readouterr()
    assert "3 of 5 answers are kept from before" in notes, "a changed image is asked about again"
    assert {**answers_of(out), "1.png": ""} == {**first, "1.png": ""}
    monkeypatch.setattr(Answerer, "load", lambda *_, **__: pytest.fail("nothing is left to compute"))
    assert main(command) == 0


def test_files_and_json_hold_the_same(images: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["ask", "--images", str(images), "it?", "--model", model]
    assert main([*command, "--out", str(images / "out.csv")]) == 0
    assert "4 of 5 images answered" in capsys.readouterr().out
    assert main([*command, "--out", str(images / "out.jsonl"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["n"] == 4 and [Path(each["image"]).name for each in told["unanswered"]] == ["bad.png"]
    with (images / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (images / "out.jsonl").read_text("utf-8").splitlines()]
    assert lines == told["answers"]
    assert [(row["image"], row["answer"]) for row in rows] == [(line["image"], line["answer"]) for line in lines]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--images", "EMPTY", "it?"], "holds no image"),
        (["--images", "nowhere", "it?"], "cannot be read"),
        (["--images", "EMPTY", " "], "the question is empty"),
        (["--images", "EMPTY", "photo.png", "it?"], "--images replaces IMAGE"),
        (["--images", "EMPTY", "it?", "--top", "3"], "--top has no effect"),
        (["--images", "EMPTY", "it?", "--out", "answers.txt"], "must end in .csv or .jsonl"),
        (["--images", "EMPTY", "it?", "--out", "no/folder/a.csv"], "there is no folder"),
        (["it?"], "QUESTION"),
        (["photo.png", "it?", "--out", "a.csv"], "--out has no effect"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    command = [str(tmp_path / "empty") if each == "EMPTY" else each for each in arguments]
    try:
        code = main(["ask", *command])
    except SystemExit as stopped:
        code = int(str(stopped.code))
    assert code == 2
    assert sentence in capsys.readouterr().err


def test_a_folder_of_damaged_images_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    assert main(["ask", "--images", str(tmp_path), "it?"]) == 2
    assert "could be asked about; the first: " in capsys.readouterr().err
