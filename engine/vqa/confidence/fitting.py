"""Fits what is kept with a model to calibrate and doubt its answers: temperature, words, features of training images.

It needs one pass over a sample of the validation questions and, if no features are kept, over a sample of images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from looptop.engine.compute import device as devices
from looptop.engine.config.vqa import ModelConfig, VqaRunConfig
from looptop.engine.vqa.accuracy import vqa_score
from looptop.engine.vqa.batches import ENCODE_BATCH_SIZE, Questions, prepare_images
from looptop.engine.vqa.confidence.calibration import calibrate, calibration_error, fit_temperature
from looptop.engine.vqa.confidence.training_notes import Calibration, read_words, write_calibration, write_words
from looptop.engine.vqa.confidence.unfamiliar_images import (
    MAX_IMAGES,
    TrainingImages,
    fit_training_images,
    image_features,
)
from looptop.engine.vqa.confidence.unknown_words import known_words
from looptop.engine.vqa.data.load import load_data
from looptop.engine.vqa.model.decoding import greedy, longest_answer
from looptop.engine.vqa.model.loading import load_with_processor
from looptop.engine.vqa.model.processing import VqaProcessor, resolve
from looptop.engine.vqa.model.saved_models import folder_of
from looptop.engine.vqa.model.vqa_model import VqaModel

MAX_QUESTIONS = 4000
"""The most validation questions that a temperature is fitted on."""

MAX_VALIDATION_IMAGES = 1000
"""The most validation images whose distances are measured."""

OnProgress = Callable[[int, int], object]
"""Called between batches with the amount done and the total."""


@dataclass(frozen=True)
class FittedChecks:
    """What is kept with a model."""

    calibration: Calibration | None
    words: list[str] | None
    images: TrainingImages | None

    def save(self, folder: Path) -> None:
        """Writes it into the model's folder."""
        if self.calibration is not None:
            write_calibration(folder, self.calibration)
        if self.words is not None:
            write_words(folder, self.words)
        if self.images is not None:
            self.images.save(folder)


def note_model(
    folder: Path,
    config: VqaRunConfig,
    earlier: Sequence[str] | None = (),
    device: str = "auto",
    on_progress: OnProgress = lambda done, total: None,
) -> FittedChecks:
    """Calibrates a model and notes its words and images.

    Args:
        folder: The model's folder, into which the notes are written.
        config: What the model was trained with: its data, and how that was split.
        earlier: As for `training_words`.
        device: The device, as `compute.device.pick` takes it.
        on_progress: Called between batches.

    Returns:
        What was written.

    Raises:
        LooptopError: The model or the data cannot be read.
        OSError: The folder cannot be written.
    """
    chosen = devices.pick(device, "fp32")
    data = load_data(config.data, config.training.seed)
    chosen.apply()
    model, processor = load_with_processor(folder)
    model.to(chosen.torch_device)  # type: ignore[arg-type]  # A decorator hides the signature.
    train, validation = (Questions(table, processor, lambda problem: None) for table in (data.train, data.validation))
    checks = fit_checks(model, processor, train, validation, training_words(train, earlier), on_progress)
    checks.save(folder)
    return checks


@torch.inference_mode()
def fit_checks(
    model: VqaModel,
    processor: VqaProcessor,
    train: Questions,
    validation: Questions,
    words: list[str] | None,
    on_progress: OnProgress = lambda done, total: None,
) -> FittedChecks:
    """Fits them on a model's own data.

    Args:
        model: Is set to evaluation mode.
        processor: The model's processor.
        train: The questions that it was trained on.
        validation: Questions that were held out.
        words: From `training_words`.
        on_progress: Called between batches.
    """
    model.train(False)
    probabilities, scores = answered(model, processor, validation, MAX_QUESTIONS, on_progress)
    training_images = _features(model, processor, train, MAX_IMAGES)
    validation_images = _features(model, processor, validation, MAX_VALIDATION_IMAGES)
    return FittedChecks(
        fit_calibration(probabilities, scores), words, fit_training_images(training_images, validation_images)
    )


def training_words(train: Questions, earlier: Sequence[str] | None) -> list[str] | None:
    """The words that a model was trained on, sorted; None if they are too many or not known.

    Args:
        train: The questions that it is trained on.
        earlier: From `earlier_words`.
    """
    return None if earlier is None else known_words([*train.texts, " ".join(earlier)])


def earlier_words(names: ModelConfig) -> list[str] | None:
    """The words that a model's text encoder, or the model that the run started from, was trained on before.

    Of an encoder from elsewhere nothing is known, and the words of the run's own questions count; None if the run
    started from a model whose words are not kept.

    Raises:
        LooptopError: The file with the words is damaged.
    """
    if names.start_from:
        return read_words(folder_of(names.start_from))
    return read_words(Path(resolve(names.text_encoder))) or []


def answered(
    model: VqaModel,
    processor: VqaProcessor,
    questions: Questions,
    most: int,
    on_progress: OnProgress = lambda done, total: None,
) -> tuple[list[float], list[float]]:
    """Answers questions that are spread evenly over a split.

    The answers are greedy. Where an answer is more probable than all others together, which is what a temperature
    scales, the exact search finds the same one: no token on its way can be less probable than another.

    Returns:
        The raw confidence of each answer and its official accuracy; unreadable images are left out.
    """
    rows = spread(len(questions), most)
    probabilities: list[float] = []
    scores: list[float] = []
    longest = longest_answer(model)
    for first in range(0, len(rows), ENCODE_BATCH_SIZE):
        on_progress(first, len(rows))
        batch = questions.__getitems__(rows[first : first + ENCODE_BATCH_SIZE])
        if not len(batch["rows"]):
            continue
        inputs = {name: part.to(model.device) for name, part in batch.items() if isinstance(part, Tensor)}
        memory, mask = model.encode(
            inputs.get("input_ids"),
            inputs["attention_mask"],
            inputs.get("pixel_values"),
            inputs.get("image_features"),
            inputs.get("text_features"),
        )
        decoded = greedy(model, memory, mask, processor.begin_id, processor.end_id, longest)
        probabilities += decoded.confidences.tolist()
        truths = questions.truths
        for row, ids in zip(batch["rows"].tolist(), decoded.ids.tolist(), strict=True):
            scores.append(vqa_score(processor.decode(ids), truths[row]))
    return probabilities, scores


def spread(total: int, most: int) -> list[int]:
    """At most this many indices, spread evenly over all."""
    count = min(total, most)
    return [number * total // count for number in range(count)]


def fit_calibration(probabilities: Sequence[float], scores: Sequence[float]) -> Calibration | None:
    """Fits the temperature on answers to validation questions, and measures what it brings; None without answers.

    Args:
        probabilities: The raw confidence of each answer; NaN, as after a training that diverged, is left out.
        scores: Its official accuracy.
    """
    known = [(probability, score) for probability, score in zip(probabilities, scores, strict=True) if probability >= 0]
    if not known:
        return None
    probabilities, scores = zip(*known, strict=True)
    temperature = fit_temperature(probabilities, scores)
    confidences = [calibrate(probability, temperature) for probability in probabilities]
    return Calibration(
        temperature=temperature,
        questions=len(probabilities),
        raw_error=calibration_error(probabilities, scores),
        error=calibration_error(confidences, scores),
    )


def _features(model: VqaModel, processor: VqaProcessor, questions: Questions, most: int) -> Tensor:
    """The features of a split's images, `[n, width]`, or of as many as are wanted; unreadable ones are left out."""
    chosen = spread(len(questions.image_paths), most)
    features: list[Tensor] = []
    for first in range(0, len(chosen), ENCODE_BATCH_SIZE):
        some = chosen[first : first + ENCODE_BATCH_SIZE]
        if questions.image_features is not None:
            features.append(image_features(questions.image_features[some]))
            continue
        pixels, _, _ = prepare_images([questions.image_paths[index] for index in some], processor)
        if len(pixels):
            features.append(image_features(model.image_states(pixels.to(model.device))))
    return torch.cat(features) if features else torch.empty(0, 0)
