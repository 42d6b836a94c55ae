"""What is kept with the bundled model to doubt its answers: the benchmark is familiar to it, nonsense is not."""

from __future__ import annotations

import easy_vqa
import numpy as np
import pytest
from PIL import Image

from looptop.engine.bundle.shared import BUNDLED
from looptop.engine.vqa.answers.answerer import Answerer
from looptop.engine.vqa.confidence.doubts import UnfamiliarImage, UnknownWords
from looptop.engine.vqa.confidence.training_notes import read_calibration, read_words
from looptop.engine.vqa.confidence.unfamiliar_images import image_features
from looptop.engine.vqa.confidence.unknown_words import unknown_words


@pytest.fixture(scope="module")
def answerer() -> Answerer:
    return Answerer.load("bundled", device="cpu")


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8))


def gradient() -> Image.Image:
    """Smooth in colour and light, as much of a photograph is."""
    y, x = np.mgrid[0:200, 0:300]
    return Image.fromarray(np.stack([x * 255 / 300, y * 255 / 200, (x + y) * 255 / 500], axis=-1).astype(np.uint8))


def clouds() -> Image.Image:
    """Soft blotches of all sizes."""
    rng = np.random.default_rng(1)
    layers = [Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize((300, 200)) for n in (4, 9, 30)]
    return Image.blend(Image.blend(layers[0], layers[1], 0.4), layers[2], 0.2)


def two_shapes() -> Image.Image:
    image = Image.new("RGB", (64, 64), (240, 240, 240))
    image.paste("red", (5, 5, 25, 25))
    image.paste("blue", (35, 35, 55, 60))
    return image


def test_questions_of_the_benchmark_have_no_unknown_word() -> None:
    words = read_words(BUNDLED / "vqa")
    questions, _, _ = easy_vqa.get_test_questions()
    assert words is not None
    assert not [question for question in set(questions) if unknown_words(question, words)]


def test_at_most_two_in_a_hundred_images_of_the_benchmark_are_unfamiliar(answerer: Answerer) -> None:
    images = answerer.checks.images
    assert images is not None
    paths = list(easy_vqa.get_test_image_paths().values())
    opened = [Image.open(path).convert("RGB") for path in paths]
    states = answerer.model.image_states(answerer.processor.images(opened)).detach()
    unfamiliar = images.distances(image_features(states)) > images.threshold
    assert len(opened) == 1000 and unfamiliar.float().mean() <= 0.02


@pytest.mark.parametrize("draw", [noise, gradient, clouds, two_shapes, lambda: Image.new("RGB", (64, 64), "white")])
def test_other_images_are_unfamiliar(answerer: Answerer, draw) -> None:  # type: ignore[no-untyped-def]
    (doubt,) = answerer.answer(draw(), "what color is the shape?").doubts
    assert isinstance(doubt, UnfamiliarImage)


def test_words_of_no_question_are_named(answerer: Answerer) -> None:
    image = Image.open(easy_vqa.get_test_image_paths()[0])
    answer = answerer.answer(image, "Wug blick zorp 🐶?")
    assert answer.doubts == [UnknownWords(["wug", "blick", "zorp", "🐶"])]
    assert answerer.answer(image, "What colour is the shape").doubts == []


def test_its_confidence_is_calibrated(answerer: Answerer) -> None:
    calibration = read_calibration(BUNDLED / "vqa")
    assert calibration is not None and calibration.questions > 1000 and calibration.error < 0.01
    answer = answerer.answer(Image.open(easy_vqa.get_test_image_paths()[0]), "what shape is in the image?")
    assert answer.calibrated and 0.99 < answer.confidence < 1
