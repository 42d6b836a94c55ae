"""Raises doubts about answers: words that no training question had, and images unlike those of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.confidence.doubts import Check, ChecksMissing, Doubt, NoWordKnown, UnfamiliarImage, UnknownWords
from looptop.engine.vqa.confidence.training_notes import Calibration, read_calibration, read_words
from looptop.engine.vqa.confidence.unfamiliar_images import TrainingImages, image_features
from looptop.engine.vqa.confidence.unknown_words import unknown_words
from looptop.engine.vqa.model.processing import VqaProcessor

Kept = TypeVar("Kept")


class AnswerChecks:
    """What is known of a model's training, to calibrate and to doubt its answers.

    Args:
        calibration: How its confidence is calibrated; None: it is not.
        words: The words of its training questions; None: words are not checked.
        images: Features of its training images; None: images are not checked.
        missing: A doubt for each file that could not be read.
    """

    def __init__(
        self,
        calibration: Calibration | None = None,
        words: Sequence[str] | None = None,
        images: TrainingImages | None = None,
        missing: Sequence[ChecksMissing] = (),
    ) -> None:
        self.temperature = None if calibration is None else calibration.temperature
        self.words = None if words is None else frozenset(words)
        self.images = images
        self.missing = list(missing)

    @classmethod
    def load(cls, folder: Path) -> AnswerChecks:
        """Reads what is kept with a model; files that are damaged become doubts about each answer."""
        missing: list[ChecksMissing] = []

        def read(reader: Callable[[Path], Kept]) -> Kept | None:
            try:
                return reader(folder)
            except LooptopError as error:
                missing.append(ChecksMissing(str(error)))
                return None

        return cls(read(read_calibration), read(read_words), read(TrainingImages.load), missing)

    def doubts(self, processor: VqaProcessor, questions: Sequence[str], image_states: Tensor) -> list[list[Doubt]]:
        """The reasons to doubt the answer to each question.

        Args:
            processor: The model's processor.
            questions: The questions.
            image_states: `[n, states, width]`, from `VqaModel.image_states`, of each question's image.
        """
        distances: Sequence[float | None] = [None] * len(questions)
        threshold = 0.0
        if self.images is not None and self._checks_images(image_states):
            threshold = self.images.threshold
            distances = self.images.distances(image_features(image_states)).tolist()
        doubts: list[list[Doubt]] = []
        for question, distance in zip(questions, distances, strict=True):
            of_one: list[Doubt] = list(self.missing)
            if not processor.has_known_token(question):
                of_one.append(NoWordKnown())
            elif self.words is not None and (words := unknown_words(question, self.words)):
                of_one.append(UnknownWords(words))
            if distance is not None and distance > threshold:
                of_one.append(UnfamiliarImage(distance, threshold))
            doubts.append(of_one)
        return doubts

    def unchecked(self, image_states: Tensor) -> list[Check]:
        """The checks that cannot be made for this model.

        Args:
            image_states: As for `doubts`.
        """
        known = {Check.WORDS: self.words is not None, Check.IMAGE: self._checks_images(image_states)}
        return [check for check, is_known in known.items() if not is_known]

    def _checks_images(self, image_states: Tensor) -> bool:
        return self.images is not None and self.images.features.shape[1] == image_states.shape[-1]
