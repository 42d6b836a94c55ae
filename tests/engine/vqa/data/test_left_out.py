"""What is wrong in data costs its own rows and no run: counted, named in the log and in events, and left out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import looptop.engine as looptop
from looptop.engine import config
from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Journal, JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.startup.run import Run
from looptop.engine.vqa.data.left_out import ITEMS_IN_EVENTS, Problem, ProblemReporter
from looptop.engine.vqa.images.decode import check_image, open_image

NOT_KEPT = "keep_features=false"


def picture(path: Path, *, broken: bool = False) -> Path:
    """An image; a broken one looks whole until its pixels are decoded."""
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    if broken:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 2 // 3])
        check_image(path)
        with pytest.raises(LooptopError, match="damaged or cut off"):
            open_image(path)
    return path


def table(folder: Path, images: list[Path], question: str = "what color is it?") -> Path:
    with (folder / "questions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "question", "answer"])
        writer.writerows([path.name, question, "red"] for path in images)
    return folder


def pictures(folder: Path, whole: int, broken: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    names = [picture(folder / f"broken-{n}.gif", broken=True) for n in range(broken)]
    return names + [picture(folder / f"whole-{n}.gif") for n in range(whole)]


def train(data: Path, *settings: str) -> Run:
    few = ["max_steps=4", "per_device_train_batch_size=1", "per_device_eval_batch_size=1", "validation_fraction=0.5"]
    run = looptop.start(config.override(config.preset("tiny"), [f"source={data}", *few, *settings]))
    run.wait(120)
    return run


@pytest.mark.parametrize("settings", [("keep_features=true",), (NOT_KEPT,), (NOT_KEPT, "dataloader_num_workers=1")])
def test_images_that_break_when_they_are_decoded_are_left_out_counted_and_named(
    tmp_path: Path, settings: tuple[str, ...]
) -> None:
    """Alone in their batches, in training and in validation, and decoded in a process of the data loader's."""
    images = pictures(tmp_path / "data", whole=5, broken=5)
    run = train(table(tmp_path / "data", images), *settings)
    assert run.state is RunState.FINISHED, run.reason
    assert len(run.journal.values("loss")) == 4
    assert run.journal.facts()["left_out"] == {"broken image": 5}
    events = " ".join(event.text for event in run.journal.events() if event.level == "warning")
    log = run.folder.log.read_text()
    for path in images[:5]:
        assert str(path) in events
        assert log.count(f"broken image: {path}") == 1
    assert "whole-" not in events


@pytest.mark.parametrize("setting", ["keep_features=true", NOT_KEPT])
def test_only_all_of_them_wrong_is_an_error(tmp_path: Path, setting: str) -> None:
    run = train(table(tmp_path / "data", pictures(tmp_path / "data", whole=0, broken=4)), setting)
    assert run.state is RunState.FAILED
    assert "the log" in run.reason and ("no question of a split" in run.reason or "none of the images" in run.reason)
    assert run.journal.facts()["left_out"]["broken image"] >= 1


def test_questions_that_the_encoder_cannot_read_whole_are_left_out(tmp_path: Path) -> None:
    images = pictures(tmp_path / "data", whole=6, broken=0)
    table(tmp_path / "data", images)
    with (tmp_path / "data" / "questions.csv").open("a", newline="") as file:
        csv.writer(file).writerow([images[0].name, "is it red " * 100, "yes"])
    run = train(tmp_path / "data")
    assert run.state is RunState.FINISHED, run.reason
    assert run.journal.facts()["left_out"] == {"question too long for the text encoder": 1}
    (event,) = [event.text for event in run.journal.events() if event.level == "warning"]
    assert event == "left out, question too long for the text encoder: 1: question train-8 (999 letters)"
    facts = run.journal.facts()
    assert facts["n_train"] + facts["n_validation"] == 6


def test_thousands_are_named_in_the_log_and_counted_in_the_events(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = JournalWriter(tmp_path / "run.db")
    left_out = ProblemReporter(journal)
    for number in range(1500):
        left_out(Problem("broken image", f"{number}.png", "cut off"))
    left_out(Problem("broken image", "0.png", "cut off"))
    left_out.report()
    left_out.report()
    for number in range(1500, 1502):
        left_out(Problem("broken image", f"{number}.png"))
    left_out.report(step=7)
    journal.close()
    first, second = Journal(tmp_path / "run.db").events()
    assert first.text.startswith("left out, broken image: 1,500: 0.png (cut off), 1.png (cut off), ")
    assert first.text.endswith(f"{ITEMS_IN_EVENTS - 1}.png, {1500 - ITEMS_IN_EVENTS:,} more, which the log names")
    assert (second.step, second.text) == (7, "left out, broken image: 2, 1,502 in all: 2 more, which the log names")
    assert len(caplog.records) == 1502
