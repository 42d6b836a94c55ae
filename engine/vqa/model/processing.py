"""Converts text and images to tensors and back, with the two tokenizers and the image processor of a VQA model.

Questions use the text encoder's tokenizer, answers the decoder's, and images the image encoder's processor. All three
are saved in the model's folder, so that a model is one folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer
from transformers.image_processing_backends import PilBackend

# By its module: from the package itself, transformers 5.17 gives it only if torchvision is installed.
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from looptop.engine.errors import LooptopError, error_text
from looptop.engine.models.names import resolve
from looptop.engine.models.token_text import known_ids
from looptop.engine.models.weights import load_part
from looptop.engine.text import counted, visible

__all__ = ["VqaProcessor", "resolve"]

QUESTION_TOKENIZER = "question_tokenizer"
ANSWER_TOKENIZER = "answer_tokenizer"

IGNORED = -100
"""The label that the cross-entropy loss skips."""

_STEP_METHODS = ("_preprocess", "preprocess", "process_image", "resize", "rescale", "normalize")
"""The methods of a processor that change images: a class that keeps those of `PilBackend` has no steps of its own."""


class VqaProcessor:
    """Makes a model's inputs from questions, answers and images, and text from its outputs.

    Attributes:
        begin_id: The token that every answer begins with.
        end_id: The token that ends an answer.
        question_pad_id: The token that pads shorter questions; it is masked.
    """

    def __init__(self, question_tokenizer: Any, answer_tokenizer: Any, image_processor: Any) -> None:
        self.question_tokenizer = question_tokenizer
        self.answer_tokenizer = answer_tokenizer
        self.image_processor = image_processor
        # Padding is masked, so any token works if the tokenizer has none for it.
        self.question_pad_id: int = question_tokenizer.pad_token_id or 0
        if answer_tokenizer.eos_token_id is None:
            raise LooptopError("the decoder's tokenizer has no end-of-sequence token, so no answer could end")
        self.end_id: int = answer_tokenizer.eos_token_id
        begin = answer_tokenizer.bos_token_id
        self.begin_id: int = self.end_id if begin is None else begin
        self._fixed_size = _fixed_size(image_processor)

    @classmethod
    def from_parts(cls, text_encoder: str, image_encoder: str, decoder: str) -> VqaProcessor:
        """Loads the processors of three pretrained parts.

        Args:
            text_encoder: Hub name, local folder, or `bundled:PART`.
            image_encoder: The same.
            decoder: The same.

        Raises:
            LooptopError: One is neither on disk nor on the hub; names it.
        """
        question = _tokenizer(resolve(text_encoder), "text_encoder", text_encoder)
        answer = _tokenizer(resolve(decoder), "decoder", decoder)
        image = _image_processor(resolve(image_encoder), "image_encoder", image_encoder)
        return cls(question, answer, image)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> VqaProcessor:
        """Loads what `save_pretrained` wrote.

        Raises:
            LooptopError: A file is missing in the folder.
        """
        folder = Path(folder)
        for name in (QUESTION_TOKENIZER, ANSWER_TOKENIZER, "preprocessor_config.json"):
            if not (folder / name).exists():
                raise LooptopError(f"{visible(folder)} is not a VQA model's folder: it holds no {name}")
        question = _load(AutoTokenizer.from_pretrained, str(folder / QUESTION_TOKENIZER), "the question tokenizer")
        answer = _load(AutoTokenizer.from_pretrained, str(folder / ANSWER_TOKENIZER), "the answer tokenizer")
        return cls(question, answer, _image_processor(str(folder), "model", str(folder)))

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the two tokenizers and the image processor beside the model's weights."""
        folder = Path(folder)
        self.question_tokenizer.save_pretrained(folder / QUESTION_TOKENIZER)
        self.answer_tokenizer.save_pretrained(folder / ANSWER_TOKENIZER)
        self.image_processor.save_pretrained(folder)

    # Questions --------------------------------------------------------------------------------------------------

    def questions(self, questions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Tokenises questions for the text encoder.

        Returns:
            `input_ids` and `attention_mask`, both `[n, longest question]`.

        Raises:
            LooptopError: A question is empty or too long.
        """
        rows = self.question_ids(questions)
        for question, row in zip(questions, rows, strict=True):
            self._check(question, len(row))
        ids = torch.full((len(rows), max(map(len, rows))), self.question_pad_id)
        mask = torch.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
            mask[index, : len(row)] = 1
        return ids, mask

    def question_ids(self, questions: Sequence[str]) -> list[list[int]]:
        """Each question's tokens with the text encoder's begin and end tokens, not padded and not cut:
        there may be more than `max_question_tokens`.
        """
        texts = [_without_surrogates(question) for question in questions]
        rows: list[list[int]] = self.question_tokenizer(texts, verbose=False)["input_ids"]
        return rows

    @property
    def max_question_tokens(self) -> int:
        """The greatest number of tokens that a question may have.

        Of a longer question only the beginning would be read, so it is refused, or left out of a data set.
        """
        return int(self.question_tokenizer.model_max_length)

    def check_question(self, question: str) -> None:
        """Checks that a question can be asked.

        Raises:
            LooptopError: The question is empty or too long.
        """
        self._check(question, len(self.question_ids([question])[0]))

    def has_known_token(self, question: str) -> bool:
        """Whether the text encoder knows any token of the question."""
        tokenizer = self.question_tokenizer
        no_meaning = {tokenizer.unk_token_id, *tokenizer.all_special_ids}
        return any(token not in no_meaning for token in self.question_ids([question])[0])

    def _check(self, question: str, tokens: int) -> None:
        if not question.strip():
            raise LooptopError("the question is empty; ask something about the image")
        if tokens > self.max_question_tokens:
            raise LooptopError(
                f"the question has {counted(tokens, 'token')} (words or parts of words), more than the"
                f" {self.max_question_tokens:,} that the model reads; ask a shorter one"
            )

    # Answers ----------------------------------------------------------------------------------------------------

    def answers(self, answers: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Tokenises answers as training targets: begin, " answer" (with the book's leading space), end.

        An answer longer than the decoder allows is cut.

        Returns:
            `decoder_input_ids` and `labels` (already shifted), both `[n, 1 + longest answer]`.
        """
        return answer_labels(self.answer_ids(answers), self.begin_id, self.end_id)

    def answer_ids(self, answers: Sequence[str]) -> list[list[int]]:
        """Each answer's tokens, without begin and end."""
        texts = [" " + _without_surrogates(answer).strip() for answer in answers]
        rows = self.answer_tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        longest = self.answer_tokenizer.model_max_length - 1
        return [list(row[:longest]) for row in rows]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of an answer's tokens up to the first end token.

        Args:
            ids: Without the begin token: it may be the same as the end token, as in GPT-2.
        """
        kept: list[int] = []
        for token in ids:
            token = int(token)
            if token == self.end_id:
                break
            kept.append(token)
        known = known_ids(self.answer_tokenizer, kept)
        text: str = self.answer_tokenizer.decode(known, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.strip()

    # Images -----------------------------------------------------------------------------------------------------

    @cached_property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of every image as the model sees it."""
        if self._fixed_size is not None:
            return self._fixed_size
        height, width = self.images([Image.new("RGB", (32, 32))]).shape[-2:]
        return int(height), int(width)

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """Prepares images for the image encoder, with the same result as its own processor.

        If the processor only resizes to one size, rescales and normalises, the last two are done for the whole batch at
        once; the processor's own code goes image by image, through 64-bit floats.

        Args:
            images: RGB images of any size, as `open_image` gives them.

        Returns:
            `[n, 3, height, width]`, 32-bit floats.
        """
        rgb = [image if image.mode == "RGB" else image.convert("RGB") for image in images]
        if self._fixed_size is None:
            pixel_values: Tensor = self.image_processor(rgb, return_tensors="pt")["pixel_values"]
            return pixel_values
        height, width = self._fixed_size
        pixels = np.empty((len(rgb), height, width, 3), dtype=np.uint8)
        for row, image in enumerate(rgb):
            if image.size != (width, height):
                image = image.resize((width, height), resample=self.image_processor.resample)
            pixels[row] = np.asarray(image)
        return self.pixels(pixels)

    def pixels(self, pixels: np.ndarray) -> Tensor:
        """Rescales and normalises pixels that already have `image_size`.

        Args:
            pixels: `[n, height, width, 3]`, bytes.

        Returns:
            `[n, 3, height, width]`, 32-bit floats.
        """
        processor = self.image_processor
        out = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        if processor.do_rescale:
            out *= processor.rescale_factor
        if processor.do_normalize:
            out -= torch.tensor(processor.image_mean).view(1, 3, 1, 1)
            out /= torch.tensor(processor.image_std).view(1, 3, 1, 1)
        return out


def answer_labels(answers: Sequence[Sequence[int]], begin_id: int, end_id: int) -> tuple[Tensor, Tensor]:
    """The decoder's input and its labels: the label at each position is the token that must come next.

    The end token is a label, and only what follows it is ignored. (The published code masked it together with the
    padding, which has the same id, so its model never learned to stop.)

    Args:
        answers: Token ids of each answer, without begin and end.
        begin_id: The token that every answer begins with.
        end_id: The token that ends an answer; it also pads, as in GPT-2.

    Returns:
        `decoder_input_ids` and `labels`, both `[batch, 1 + longest answer]`.
    """
    length = 1 + max(len(answer) for answer in answers)
    inputs = torch.full((len(answers), length), end_id, dtype=torch.long)
    labels = torch.full((len(answers), length), IGNORED, dtype=torch.long)
    for row, answer in enumerate(answers):
        ids = torch.tensor(list(answer), dtype=torch.long)
        inputs[row, 0] = begin_id
        inputs[row, 1 : 1 + len(ids)] = ids
        labels[row, : len(ids)] = ids
        labels[row, len(ids)] = end_id
    return inputs, labels


def _fixed_size(processor: Any) -> tuple[int, int] | None:
    """(height, width) if the processor only resizes to them, rescales and normalises; else None."""
    same = isinstance(processor, PilBackend) and all(
        getattr(type(processor), step, None) is getattr(PilBackend, step, None) for step in _STEP_METHODS
    )
    plain = not any(getattr(processor, step, None) for step in ("do_center_crop", "do_pad"))
    size = getattr(processor, "size", None)
    if not (same and plain and processor.do_resize and size and size["height"] and size["width"]):
        return None
    if processor.do_normalize and any(np.ndim(each) == 0 for each in (processor.image_mean, processor.image_std)):
        return None  # One number for all channels; the processor's own code repeats it.
    return int(size["height"]), int(size["width"])


def _tokenizer(folder: str, part: str, name: str) -> Any:
    """A part's tokenizer, with the part's greatest sequence length."""
    tokenizer = _load(AutoTokenizer.from_pretrained, folder, f"the tokenizer of {part} '{visible(name)}'")
    config = _load(AutoConfig.from_pretrained, folder, f"the configuration of {part} '{visible(name)}'")
    longest = getattr(config, "max_position_embeddings", None)
    if longest is not None:
        tokenizer.model_max_length = min(tokenizer.model_max_length, longest)
    return tokenizer


def _image_processor(folder: str, part: str, name: str) -> Any:
    """The Pillow variant of the image processor: it gives the same pixels with and without torchvision."""

    def load(folder: str, **options: Any) -> Any:
        return AutoImageProcessor.from_pretrained(folder, backend="pil", **options)

    what = f"the image processor of {part} '{visible(name)}'"
    processor = _load(load, folder, what)
    try:
        probes = [Image.new("RGB", size) for size in ((32, 32), (48, 40))]
        shapes = {processor([probe], return_tensors="pt")["pixel_values"].shape for probe in probes}
    except Exception as error:  # A value that it does not check; the kinds are those of PyTorch, NumPy and Pillow.
        why = error_text(error).rstrip(".")
        raise LooptopError(
            f"{what} cannot prepare an image: {why}; correct preprocessor_config.json in {visible(folder)}"
        ) from error
    if len(shapes) > 1:
        raise LooptopError(
            f"{what} does not bring images to one size; correct do_resize, size or do_center_crop in"
            f" preprocessor_config.json in {visible(folder)}"
        )
    return processor


def _load(load: Callable[..., Any], folder: str, what: str) -> Any:
    try:
        return load_part(load, folder, f"{what} in")
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        raise LooptopError(
            f"cannot load {what}: it is neither in a local folder nor on the hub ({error_text(error)})"
        ) from error


def _without_surrogates(text: str) -> str:
    """Replaces lone surrogates (from bytes that were not UTF-8), which tokenizers refuse, by question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
