"""What is kept with a model to doubt its answers: words, images, calibration; damaged files cost only the checks."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.answers.answerer import Answerer
from looptop.engine.vqa.confidence import training_notes
from looptop.engine.vqa.confidence.answer_checks import AnswerChecks
from looptop.engine.vqa.confidence.doubts import (
    Check,
    ChecksMissing,
    NoWordKnown,
    UnfamiliarImage,
    UnknownWords,
    doubt_text,
    unchecked_text,
)
from looptop.engine.vqa.confidence.training_notes import (
    Calibration,
    read_calibration,
    read_words,
    write_calibration,
    write_words,
)
from looptop.engine.vqa.confidence.unfamiliar_images import TrainingImages, fit_training_images, image_features
from looptop.engine.vqa.confidence.unknown_words import known_words, unknown_words, words_of
from tests.factories.vqa import QUESTIONS, pictures, save, tiny_model

CALIBRATION = Calibration(temperature=2.0, questions=100, raw_error=0.2, error=0.05)

# Words --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What COLOR is it?", ["what", "color", "is", "it"]),
        ("wug blick zorp 🐶?", ["wug", "blick", "zorp", "🐶"]),
        ("isn't it a dog’s 2nd tea-pot?", ["isn't", "it", "a", "dog's", "2nd", "tea", "pot"]),  # noqa: RUF001
        ("is is IS it", ["is", "it"]),
        ("图中有什么？", ["图中有什么"]),  # noqa: RUF001
        ("¿... — (?!) \ud800\u202e\x1b", []),
        ("❤\ufe0f 1+1", ["❤", "1", "+"]),
    ],
)
def test_the_words_of_a_question(question: str, words: list[str]) -> None:
    assert words_of(question) == words


def test_words_are_unknown_if_no_training_question_had_them() -> None:
    known = known_words(["What color is the shape?", "is it red"])
    assert known == ["color", "is", "it", "red", "shape", "the", "what"]
    assert unknown_words("WHAT is the wug?", known) == ["wug"]
    assert unknown_words("is the shape red???", known) == []


@given(st.text())
def test_a_question_of_the_training_has_no_unknown_word(question: str) -> None:
    assert unknown_words(question, known_words([question]) or []) == []


def test_too_many_words_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("looptop.engine.vqa.confidence.unknown_words.MAX_WORDS", 2)
    assert known_words(["one two", "two three"]) is None


# Images -------------------------------------------------------------------------------------------------------------


def features(count: int, seed: int, width: int = 16) -> torch.Tensor:
    """Features near a few directions, as images of a few kinds have them."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.randn(4, width, generator=torch.Generator().manual_seed(0))
    return 5 * kinds[torch.arange(count) % 4] + torch.randn(count, width, generator=generator)


def test_held_out_images_are_familiar_and_others_are_not() -> None:
    images = fit_training_images(features(400, 1), features(200, 2))
    assert images is not None
    seen = images.distances(features(1000, 3))
    others = images.distances(torch.randn(200, 16, generator=torch.Generator().manual_seed(9)))
    assert (seen > images.threshold).float().mean() < 0.03
    assert (others > images.threshold).float().mean() > 0.95
    assert float(seen.min()) >= 0 and float(others.max()) <= 2


def test_the_threshold_is_the_upper_bound_of_the_99th_percentile() -> None:
    # 990 of 1,000 are expected below the percentile, and 995 at most in nine of ten cases: 1.28 deviations of 3.15.
    held_out = features(1000, 2)
    images = fit_training_images(features(400, 1), held_out)
    assert images is not None
    assert int((images.distances(held_out) > images.threshold).sum()) == 5


def test_an_images_brightness_in_features_does_not_count() -> None:
    images = fit_training_images(features(400, 1), features(200, 2))
    assert images is not None
    torch.testing.assert_close(images.distances(features(5, 3)), images.distances(7 * features(5, 3)))


def test_a_few_validation_images_tell_nothing() -> None:
    assert fit_training_images(features(400, 1), features(99, 2)) is None


def test_features_are_kept_with_the_threshold_that_belongs_to_them(tmp_path: Path) -> None:
    images = fit_training_images(features(300, 1), features(200, 2))
    assert images is not None
    images.save(tmp_path)
    loaded = TrainingImages.load(tmp_path)
    assert loaded is not None and loaded.threshold == pytest.approx(images.threshold)
    assert torch.equal(loaded.features, images.features)
    assert (tmp_path / training_notes.IMAGES).stat().st_size < 300 * 16 * 2 + 500


# Files --------------------------------------------------------------------------------------------------------------


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    write_calibration(tmp_path, CALIBRATION)
    write_words(tmp_path, ["is", "où", "图"])
    assert (read_calibration(tmp_path), read_words(tmp_path)) == (CALIBRATION, ["is", "où", "图"])


def test_a_model_from_elsewhere_has_nothing_kept(tmp_path: Path) -> None:
    assert read_calibration(tmp_path) is None and read_words(tmp_path) is None
    assert read_words(tmp_path / "no such folder") is None
    assert TrainingImages.load(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"{}",
        b'{"format": 99}',
        b'{"format": 1, "calibration": [], "words": [1]}',
        b"\xff\xfe",
        b'{"format": 1, "calibration": "\xff", "words": ["\xff"]}',
        b"[" * 100_000,
        b'{"format": 1, "calibration": {"temperature": 0, "questions": 1, "raw_error": 0, "error": 0}, "words": 1}',
    ],
)
def test_a_damaged_confidence_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    for name, read in ((training_notes.CONFIDENCE, read_calibration), (training_notes.WORDS, read_words)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LooptopError) as error:
            read(tmp_path)
        assert name in str(error.value) and "\n" not in str(error.value)
        assert ("newer looptop" in str(error.value)) is (b"99" in content)


@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_notes_are_not_written_through_a_link(tmp_path: Path, link: str) -> None:
    mine = tmp_path / "mine"
    mine.write_text("kept")
    for name in (training_notes.WORDS, training_notes.IMAGES):
        (tmp_path / name).symlink_to(mine) if link == "symbolic" else (tmp_path / name).hardlink_to(mine)
    refused = pytest.raises(LooptopError) if link == "symbolic" else contextlib.nullcontext()
    with refused:
        training_notes.write_words(tmp_path, ["red"])
    with refused:
        TrainingImages(torch.nn.functional.normalize(features(8, 1)), 0.5).save(tmp_path)
    assert mine.read_text() == "kept"


def test_a_reader_of_notes_sees_the_old_or_the_new_ones_while_they_are_written(tmp_path: Path) -> None:
    write_words(tmp_path, ["old"])
    with (tmp_path / training_notes.WORDS).open() as reader:
        write_words(tmp_path, ["new"])
        assert json.load(reader)["words"] == ["old"]
    assert read_words(tmp_path) == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == [training_notes.WORDS]


@pytest.mark.parametrize("how", ["empty", "truncated", "not a number", "other tensors", "wrong shape"])
def test_damaged_features_are_one_sentence(tmp_path: Path, how: str) -> None:
    file = tmp_path / training_notes.IMAGES
    good = TrainingImages(torch.nn.functional.normalize(features(8, 1)), 0.5)
    if how == "not a number":
        good = TrainingImages(good.features * torch.nan, 0.5)
    if how == "wrong shape":
        good = TrainingImages(good.features[0], 0.5)
    good.save(tmp_path)
    if how == "empty":
        file.write_bytes(b"")
    if how == "truncated":
        file.write_bytes(file.read_bytes()[:-20])
    if how == "other tensors":
        import safetensors.torch

        file.write_bytes(safetensors.torch.save({"weight": torch.zeros(2)}))
    with pytest.raises(LooptopError) as error:
        TrainingImages.load(tmp_path)
    assert training_notes.IMAGES in str(error.value) and "\n" not in str(error.value)


def test_features_of_a_newer_looptop_are_refused(tmp_path: Path) -> None:
    import safetensors.torch

    (tmp_path / training_notes.IMAGES).write_bytes(safetensors.torch.save({"format": torch.tensor(2)}))
    with pytest.raises(LooptopError, match="written by a newer looptop"):
        TrainingImages.load(tmp_path)


# Answers ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def answerer(tmp_path: Path) -> Answerer:
    return Answerer(*tiny_model(tmp_path / "parts"), name="tiny")


def test_answers_of_a_model_from_elsewhere_are_raw_and_raise_no_doubt(answerer: Answerer) -> None:
    answer = answerer.answer(pictures()[0], "is there a wug circle?")
    assert not answer.calibrated and not answer.doubts
    assert answer.confidence == answer.raw_confidence


def test_a_question_without_a_known_token_is_doubted_for_any_model(answerer: Answerer) -> None:
    assert answerer.answer(pictures()[0], "图中有什么").doubts == [NoWordKnown()]


def test_doubts_and_calibration_change_no_answer(answerer: Answerer) -> None:
    raw = answerer.answer(pictures()[1], "is there a wug circle?", top=5)
    # Every image is as far from its opposite as can be.
    states = answerer.model.image_states(answerer.processor.images(pictures()[1:2]))
    opposite = torch.nn.functional.normalize(-image_features(states).detach())
    checks = AnswerChecks(CALIBRATION, ["is", "there", "a", "circle"], TrainingImages(opposite, 0.3))
    checked = Answerer(answerer.model, answerer.processor, "tiny", checks=checks)
    answer = checked.answer(pictures()[1], "is there a wug circle?", top=5)

    words, image = answer.doubts
    assert words == UnknownWords(["wug"])
    assert isinstance(image, UnfamiliarImage)
    assert image.distance == pytest.approx(2.0) and image.threshold == 0.3
    assert answer.calibrated and answer.raw_confidence == raw.confidence
    assert [each.answer for each in answer.candidates] == [each.answer for each in raw.candidates]
    assert [each.raw_confidence for each in answer.candidates] == [each.confidence for each in raw.candidates]
    (alone,) = checked.answer_batch(pictures()[1:2], ["is there a wug circle?"])
    assert alone.confidence == pytest.approx(answer.confidence)
    assert [type(doubt) for doubt in alone.doubts] == [UnknownWords, UnfamiliarImage]
    assert answer.unchecked == alone.unchecked == []


def test_features_of_another_encoder_are_not_compared(answerer: Answerer) -> None:
    checks = AnswerChecks(images=TrainingImages(torch.ones(1, 7), 0.0))
    answer = Answerer(answerer.model, answerer.processor, checks=checks).answer(pictures()[0], QUESTIONS[0])
    assert not answer.doubts and answer.unchecked == [Check.WORDS, Check.IMAGE]


def test_damaged_files_cost_only_the_checks(answerer: Answerer, tmp_path: Path) -> None:
    folder = save(answerer.model, answerer.processor, tmp_path / "model")
    (folder / training_notes.CONFIDENCE).write_bytes(b"{")
    (folder / training_notes.IMAGES).write_bytes(b"")
    answer = Answerer.load(str(folder), device="cpu").answer(pictures()[0], QUESTIONS[0])
    assert not answer.calibrated and 0 < answer.confidence <= 1
    assert [type(doubt) for doubt in answer.doubts] == [ChecksMissing, ChecksMissing]


# Sentences ----------------------------------------------------------------------------------------------------------


def test_sentences_name_what_is_doubted() -> None:
    assert doubt_text(UnknownWords(["wug"])) == "1 word that its training never saw: wug"
    assert doubt_text(UnknownWords(["wug", "z\x1b"])) == "2 words that its training never saw: wug, z␛"
    assert doubt_text(UnknownWords(["w"] * 1000)) == f"1,000 words that its training never saw: {'w, ' * 8}…"
    assert len(doubt_text(UnknownWords(["w" * 10_000]))) < 80
    assert "distance 0.61, while 99 % of its validation images are below 0.32" in doubt_text(
        UnfamiliarImage(0.61, 0.32)
    )
    assert doubt_text(NoWordKnown()) == "the model knows no word of this question"
    assert doubt_text(ChecksMissing("a\nb")) == "unchecked: a␊b"
    assert unchecked_text(list(Check)) == "unchecked: unknown words, unfamiliar image"
    assert unchecked_text([]) == ""
