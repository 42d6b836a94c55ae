"""Answers questions about images (figure 7.7), with confidence and other candidates.

    answerer = Answerer.load("bundled")
    print(answerer.answer("picture.png", "what colour is the circle?").answer)

Always in fp32, so that a question gets the same answer and confidence alone and in any batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from looptop.engine.compute import device as devices
from looptop.engine.errors import LooptopError
from looptop.engine.models.token_text import known_ids, number_text
from looptop.engine.text import counted
from looptop.engine.vqa.answers.records import (
    END,
    MIN_SHOWN_PROBABILITY,
    Answer,
    Candidate,
    OtherToken,
    TokenProbability,
)
from looptop.engine.vqa.confidence.answer_checks import AnswerChecks
from looptop.engine.vqa.confidence.calibration import calibrate_all
from looptop.engine.vqa.confidence.doubts import Check, Doubt
from looptop.engine.vqa.images.decode import open_image
from looptop.engine.vqa.model.answer_search import NextToken, Search, SearchResult
from looptop.engine.vqa.model.decoding import MAX_ANSWER_TOKENS, best_answers, longest_answer
from looptop.engine.vqa.model.loading import load_with_processor
from looptop.engine.vqa.model.processing import VqaProcessor
from looptop.engine.vqa.model.saved_models import folder_of
from looptop.engine.vqa.model.vqa_model import VqaModel

__all__ = ["Answer", "Answerer", "Candidate", "OtherToken", "TokenProbability"]

ImageSource = Path | str | Image.Image
"""An image, or the path of its file."""

BATCH_SIZE = 64
"""The number of questions in a batch."""


class Answerer:
    """A loaded model that answers. One thread at a time.

    Args:
        model: Is set to evaluation mode and fp32.
        processor: The model's processor.
        name: Shown with each answer.
        max_tokens: The greatest length of an answer, in tokens.
        checks: What is known of the model's training; without it confidences are raw, and little is doubted.
    """

    def __init__(
        self,
        model: VqaModel,
        processor: VqaProcessor,
        name: str = "",
        max_tokens: int = MAX_ANSWER_TOKENS,
        checks: AnswerChecks | None = None,
    ) -> None:
        self.model: VqaModel = model.float().eval()  # type: ignore[no-untyped-call]
        self.processor = processor
        self.name = name
        self.max_tokens = longest_answer(model, max_tokens)
        self.checks = AnswerChecks() if checks is None else checks
        self._text_of = lru_cache(maxsize=4096)(processor.decode)

    @classmethod
    def load(cls, name: str, device: str = "auto") -> Answerer:
        """Loads a model.

        Args:
            name: `bundled`, a run's id, `RUN:checkpoint-120`, or a folder.
            device: The device, as `compute.device.pick` takes it.

        Raises:
            LooptopError: The model or the device does not exist, or the folder is damaged.
        """
        chosen = devices.pick(device, "fp32")
        folder = folder_of(name)
        chosen.apply()
        model, processor = load_with_processor(folder)
        model.to(chosen.torch_device)  # type: ignore[arg-type]  # A decorator hides the signature.
        return cls(model, processor, name, checks=AnswerChecks.load(folder))

    def answer(self, image: ImageSource, question: str, top: int = 5) -> Answer:
        """Answers one question.

        Args:
            image: A file or an image.
            question: The question's text.
            top: The number of candidates.

        Raises:
            LooptopError: The image cannot be read; the question is empty or too long.
        """
        begin = time.perf_counter()
        pixel_values = self.processor.images([opened(image)])
        return self._answer(pixel_values, [question], top, begin)[0]

    def answer_prepared(self, pixel_values: Tensor, question: str, top: int = 1) -> Answer:
        """Answers one question about an image that `processor.images` has prepared, `[1, 3, height, width]`.

        Raises:
            LooptopError: The question is empty or too long.
        """
        return self._answer(pixel_values, [question], top, time.perf_counter())[0]

    def answer_batch(self, images: Sequence[ImageSource], questions: Sequence[str], top: int = 1) -> list[Answer]:
        """Answers one question about each image, in batches; the answers are the same as one by one.

        Raises:
            LooptopError: An image cannot be read; a question is empty or too long.
        """
        if len(questions) != len(images):
            raise ValueError(f"{counted(len(images), 'image')} and {counted(len(questions), 'question')}")
        answers: list[Answer] = []
        for first in range(0, len(images), BATCH_SIZE):
            begin = time.perf_counter()
            rows = slice(first, first + BATCH_SIZE)
            pixel_values = self.processor.images([opened(image) for image in images[rows]])
            answers += self._answer(pixel_values, questions[rows], top, begin)
        return answers

    @torch.inference_mode()
    def answer_encoded(
        self, image_states: Tensor, questions: Sequence[str], top: int = 1, begin: float | None = None
    ) -> list[Answer]:
        """Answers one question about each encoded image; the answers are the same as one by one.

        Args:
            image_states: The image encoder's features, `[n, 1 or 1 + patches, image width]`.
            questions: `n` questions.
            top: The number of candidates of each.
            begin: When the work on these questions began, by `time.perf_counter`; None for now.

        Raises:
            LooptopError: A question is empty or too long.
        """
        begin = time.perf_counter() if begin is None else begin
        if top < 1:
            raise LooptopError(f"at least one candidate is needed, not {top}")
        input_ids, attention_mask = self.processor.questions(questions)
        device = self.model.device
        attention_mask = attention_mask.to(device)
        image_states = image_states.to(device)
        doubts = self.checks.doubts(self.processor, questions, image_states)
        unchecked = self.checks.unchecked(image_states)
        memory, memory_mask = self.model.encode(input_ids.to(device), attention_mask, image_features=image_states)
        searches = best_answers(
            self.model,
            memory,
            memory_mask,
            self.processor.begin_id,
            self.processor.end_id,
            self._text_of,
            top,
            self.max_tokens,
        )
        seconds = (time.perf_counter() - begin) / len(searches)
        return [
            self._to_answer(search, doubts_of_one, unchecked, seconds)
            for search, doubts_of_one in zip(searches, doubts, strict=True)
        ]

    @torch.inference_mode()
    def _answer(self, pixel_values: Tensor, questions: Sequence[str], top: int, begin: float) -> list[Answer]:
        image_states = self.model.image_states(pixel_values.to(self.model.device))
        return self.answer_encoded(image_states, questions, top, begin)

    def _to_answer(self, search: Search, doubts: list[Doubt], unchecked: list[Check], seconds: float) -> Answer:
        results = search.results()
        raw = _at_most_one([math.exp(result.log_prob) for result in results])
        temperature = self.checks.temperature
        confidences = raw if temperature is None else _at_most_one(calibrate_all(raw, temperature))
        return Answer(
            answer=results[0].text,
            confidence=confidences[0],
            raw_confidence=raw[0],
            calibrated=temperature is not None,
            candidates=[Candidate(result.text, *pair) for result, *pair in zip(results, confidences, raw, strict=True)],
            tokens=self._tokens(search, results[0]),
            model=self.name,
            seconds=seconds,
            exact=search.exact,
            doubts=doubts,
            unchecked=unchecked,
        )

    def _tokens(self, search: Search, answer: SearchResult) -> list[TokenProbability]:
        words = [self.token_text(token) for token in answer.tokens] + [END]
        others = [list(map(self._other_token, each)) for each in search.other_tokens(answer)]
        return [
            TokenProbability(
                word, math.exp(log_prob), [each for each in some if each.probability >= MIN_SHOWN_PROBABILITY]
            )
            for word, log_prob, some in zip(words, answer.log_probs, others, strict=True)
        ]

    def _other_token(self, other: NextToken) -> OtherToken:
        return OtherToken(END if other.token is None else self.token_text(other.token), math.exp(other.log_prob))

    def token_text(self, token: int) -> str:
        """A token of an answer as it would be read, with its leading space; part of a letter is a replacement mark."""
        tokenizer = self.processor.answer_tokenizer
        if not known_ids(tokenizer, [token]):
            return number_text(token)
        word: str = tokenizer.decode([token])
        return word


def opened(image: ImageSource) -> Image.Image:
    """The image; the file is read if it is a path.

    Raises:
        LooptopError: The file cannot be read.
    """
    return image if isinstance(image, Image.Image) else open_image(Path(image))


def _at_most_one(confidences: list[float]) -> list[float]:
    """Undoes rounding errors: the confidences of a sure answer and of the others may sum to 1 + 1e-15."""
    while (total := math.fsum(confidences)) > 1:
        confidences = [confidence / total * (1 - 1e-16) for confidence in confidences]
    return confidences
