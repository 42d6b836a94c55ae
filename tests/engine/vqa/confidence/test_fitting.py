"""What training notes of a model's confidence, words and images, from the model and its data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from looptop.engine import config
from looptop.engine.bundle.shared import BUNDLED
from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.runs import checkpoint
from looptop.engine.vqa import vqa_training
from looptop.engine.vqa.answers.answerer import Answerer
from looptop.engine.vqa.batches import Questions, keep_image_features
from looptop.engine.vqa.confidence.fitting import (
    FittedChecks,
    answered,
    earlier_words,
    fit_calibration,
    fit_checks,
    spread,
    training_words,
)
from looptop.engine.vqa.confidence.training_notes import CONFIDENCE, read_calibration, read_words
from looptop.engine.vqa.data.load import VqaData, load_data
from looptop.engine.vqa.trainer import VqaTrainer
from tests.factories.vqa import save, tiny_model


@pytest.fixture(scope="module")
def data() -> VqaData:
    settings = config.override(config.preset("tiny"), ["max_images=220", "max_questions=1", "validation_fraction=0.5"])
    assert isinstance(settings, VqaRunConfig)
    return load_data(settings.data)


@pytest.fixture(scope="module")
def answerer() -> Iterator[Answerer]:
    yield Answerer.load("bundled", device="cpu")


@pytest.fixture(scope="module")
def splits(answerer: Answerer, data: VqaData) -> tuple[Questions, Questions]:
    train, validation = (Questions(table, answerer.processor, print) for table in (data.train, data.validation))
    return train, validation


@pytest.fixture(scope="module")
def fitted(answerer: Answerer, splits: tuple[Questions, Questions]) -> FittedChecks:
    return fit_checks(answerer.model, answerer.processor, *splits, training_words(splits[0], ["teapot"]))


def test_it_is_fitted_on_the_models_own_data(fitted: FittedChecks, splits: tuple[Questions, Questions]) -> None:
    train, validation = splits
    assert fitted.calibration is not None and fitted.calibration.questions == len(validation)
    assert fitted.words is not None and {"teapot", "shape"} < set(fitted.words)
    assert fitted.images is not None
    assert fitted.images.features.shape == (len(train.image_paths), 96)


def test_kept_features_change_nothing(
    answerer: Answerer, data: VqaData, fitted: FittedChecks, splits: tuple[Questions, Questions]
) -> None:
    paths = [path for split in splits for path in split.image_paths]
    features = keep_image_features(answerer.model, answerer.processor, paths, print)
    train, validation = (
        Questions(table, answerer.processor, print, features, answerer.model) for table in (data.train, data.validation)
    )
    again = fit_checks(answerer.model, answerer.processor, train, validation, training_words(train, ["teapot"]))
    assert again.words == fitted.words
    assert again.images is not None and fitted.images is not None
    torch.testing.assert_close(again.images.features, fitted.images.features, atol=2e-3, rtol=0)
    assert again.images.threshold == pytest.approx(fitted.images.threshold, abs=2e-3)
    assert again.calibration is not None and fitted.calibration is not None
    assert again.calibration.temperature == pytest.approx(fitted.calibration.temperature, rel=0.02)


def test_the_confidences_are_those_of_the_answers(answerer: Answerer, splits: tuple[Questions, Questions]) -> None:
    _, validation = splits
    with torch.inference_mode():
        probabilities, scores = answered(answerer.model, answerer.processor, validation, 20)
    rows = spread(len(validation), 20)
    asked = [validation.rows[row] for row in rows]
    answers = answerer.answer_batch([row["image"] for row in asked], [row["question"] for row in asked])
    assert [answer.answer == row["answer"] for answer, row in zip(answers, asked, strict=True)] == [
        score == 1 for score in scores
    ]
    for answer, probability in zip(answers, probabilities, strict=True):
        assert answer.raw_confidence == pytest.approx(probability, abs=1e-5)


def test_what_was_fitted_is_saved_and_read(fitted: FittedChecks, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    assert read_calibration(tmp_path) == fitted.calibration
    assert read_words(tmp_path) == fitted.words
    FittedChecks(None, None, None).save(tmp_path / "missing")  # writes nothing


def test_a_mistake_in_calibrating_costs_no_model(
    splits: tuple[Questions, Questions], answerer: Answerer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of memory")

    events: list[tuple[str, str, str]] = []
    journal = SimpleNamespace(event=lambda kind, text, level="info": events.append((kind, text, level)))
    progress = SimpleNamespace(end=lambda: None)
    context: Any = SimpleNamespace(config=config.preset("tiny"), journal=journal, report=print, progress=progress)
    monkeypatch.setattr(vqa_training, "fit_checks", fail)
    vqa_training._save_answer_checks(context, tmp_path, answerer.model, answerer.processor, *splits, None)
    ((kind, text, level),) = events
    assert (kind, level) == ("calibration", "warning") and "out of memory" in text
    assert not list(tmp_path.iterdir())


def test_words_that_cannot_be_read_cost_a_warning(
    splits: tuple[Questions, Questions], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise LooptopError("training_words.json cannot be read")

    events: list[tuple[str, str]] = []
    journal = SimpleNamespace(event=lambda kind, text, level="info": events.append((text, level)))
    context: Any = SimpleNamespace(config=config.preset("tiny"), journal=journal)
    assert "shape" in (vqa_training._training_vocabulary(context, splits[0]) or []) and not events
    monkeypatch.setattr(vqa_training, "earlier_words", fail)
    assert vqa_training._training_vocabulary(context, splits[0]) is None
    assert events == [("unknown words will not be flagged: training_words.json cannot be read", "warning")]


def test_notes_that_cannot_be_written_beside_a_checkpoint_cost_no_evaluation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "checkpoint-5"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    checkpoint.seal(folder)
    (folder / CONFIDENCE).mkdir()
    context = SimpleNamespace(folder=SimpleNamespace(checkpoints=tmp_path), processes=SimpleNamespace(is_first=True))
    trainer: Any = SimpleNamespace(
        context=context, state=SimpleNamespace(global_step=5), validation=[0, 0], _words=None
    )
    trainer._save_notes = lambda folder: VqaTrainer._save_notes(trainer, folder)
    VqaTrainer._calibrate(trainer, [0, 1], [0.9, 0.8], [1.0, 0.0])
    assert "the calibration of checkpoint-5 could not be written" in caplog.text
    (folder / CONFIDENCE).rmdir()
    VqaTrainer._calibrate(trainer, [0, 1], [0.9, 0.8], [1.0, 0.0])
    fitted = read_calibration(folder)
    assert fitted is not None and fitted.questions == 2


def test_confidences_that_are_no_numbers_are_left_out() -> None:
    nan = float("nan")
    assert fit_calibration([nan, 0.9, 0.6], [0.0, 1.0, 1.0]) == fit_calibration([0.9, 0.6], [1.0, 1.0])
    assert fit_calibration([nan, nan], [0.0, 0.0]) is None


def test_rows_are_spread_evenly() -> None:
    assert spread(10, 4) == [0, 2, 5, 7]
    assert spread(3, 10) == [0, 1, 2]
    assert spread(0, 10) == []


def test_words_of_an_earlier_training_count(tmp_path: Path) -> None:
    settings = config.preset("tiny")
    assert isinstance(settings, VqaRunConfig)
    names = settings.model
    assert "colour" in (earlier_words(names) or [])
    assert "colour" in (earlier_words(replace(names, start_from="bundled")) or [])
    assert earlier_words(replace(names, text_encoder="distilbert-base-uncased")) == []
    save(*tiny_model(tmp_path / "parts"), tmp_path / "old")
    assert earlier_words(replace(names, start_from=str(tmp_path / "old"))) is None, "nobody knows its words"
    assert read_words(BUNDLED / "text_encoder") == read_words(BUNDLED / "vqa")
