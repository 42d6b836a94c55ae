"""A split of questions as batches of tensors, made whole-batch at a time.

Questions and answers are tokenised once, images are decoded when a batch needs them (each once a batch), and what a
frozen encoder says of them can be kept and takes their place. Preparing a batch of kept features is a handful of tensor
look-ups, which is what makes a step of the tiny preset cheap.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from looptop.engine.errors import LooptopError
from looptop.engine.vqa.data.problems import EMPTY_QUESTION, LONG_QUESTION, Problem
from looptop.engine.vqa.data.rows import image_problem
from looptop.engine.vqa.images.decode import open_image
from looptop.engine.vqa.model import VqaModel
from looptop.engine.vqa.processing import IGNORED, VqaProcessor

OnProblem = Callable[[Problem], object]
"""Told what is wrong with a question or an image that is left out."""

Between = Callable[[str, int, int], object]
"""Called now and then in what takes long: what is done, how much of it so far, of how much."""

TOKENISE_BATCH = 4096
"""Questions that are tokenised at once."""

ENCODE_BATCH = 64
"""Images, or questions, that a frozen encoder is given at once when its features are kept."""


class Ragged:
    """Rows of token ids of different lengths, in one flat tensor."""

    def __init__(self, rows: Iterable[Sequence[int]]) -> None:
        lists = [list(row) for row in rows]
        lengths = torch.tensor([len(row) for row in lists], dtype=torch.long)
        self.starts = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
        self.flat = torch.tensor([token for row in lists for token in row], dtype=torch.int32)

    def lengths(self, rows: Tensor) -> Tensor:
        """Length of each of the rows, `[n]`."""
        return self.starts[rows + 1] - self.starts[rows]

    def padded(self, rows: Tensor, fill: int) -> tuple[Tensor, Tensor]:
        """The rows side by side.

        Returns:
            Token ids `[n, longest]` with `fill` behind the shorter rows, and the mask of what is not filled.
        """
        lengths = self.lengths(rows)
        columns = torch.arange(int(lengths.max()) if len(rows) else 0)
        mask = columns < lengths.unsqueeze(1)
        places = (self.starts[rows].unsqueeze(1) + columns).clamp(max=max(len(self.flat) - 1, 0))
        return torch.where(mask, self.flat[places].long(), fill), mask


class Questions(Dataset[dict[str, Any]]):
    """One split: rows of (image, question, answer), asked for in batches of indices.

    Args:
        rows: A table with the columns `image` (a path), `question`, `answer`, `question_id`.
        processor: Prepares questions, answers and images.
        on_problem: Told of questions that cannot be asked, which are left out.
        image_features: What a frozen image encoder said of each image, by path; rows of other images are left out.
        text_model: A model whose frozen text encoder is asked about every distinct question now, and not again.
        fits: Receives how many bytes these states would take, and of how many questions; says whether to keep them.
        stand_ins: Have another row stand in where no image of a batch can be decoded, as training needs it; otherwise
            such a batch has no rows.
        between: Called between batches of tokenising and of the text encoder, with what is done, how much of it and of
            how much; may raise to leave.

    Raises:
        LooptopError: Every row is left out.
    """

    def __init__(
        self,
        rows: Any,
        processor: VqaProcessor,
        on_problem: OnProblem,
        image_features: Mapping[str, Tensor] | None = None,
        text_model: VqaModel | None = None,
        *,
        fits: Callable[[int, int], bool] = lambda wanted, count: True,
        stand_ins: bool = False,
        between: Between = lambda text, done, total: None,
    ) -> None:
        if image_features is not None:
            rows = _some_left(_chosen(rows, [path in image_features for path in rows["image"][:]]))
        distinct = list(dict.fromkeys(rows["question"][:]))
        tokens: dict[str, list[int]] = {}
        for first in range(0, len(distinct), TOKENISE_BATCH):
            between("preparing the questions", first, len(distinct))
            some = distinct[first : first + TOKENISE_BATCH]
            tokens |= zip(some, processor.question_ids(some), strict=True)
        rows = _some_left(_askable(rows, tokens, processor.longest_question, on_problem))
        self.rows = rows
        self.processor = processor
        self.stand_ins = stand_ins
        self.unreadable: set[int] = set()
        """Places in `image_paths` of images that could not be decoded so far, in this process."""
        self.image_paths, self.image_of = _distinct(rows["image"][:])
        self.texts, self.text_of = _distinct(rows["question"][:])
        answers, self.answer_of = _distinct(rows["answer"][:])
        self.text_ids = Ragged(tokens[text] for text in self.texts)
        self.answer_ids = Ragged(processor.answer_ids(answers))
        self.image_features: Tensor | None = None
        """`[images, 1 or 1 + patches, image width]`, in the order of `image_paths`."""
        if image_features is not None:
            self.image_features = torch.stack([image_features[path] for path in self.image_paths])
        self.text_features: tuple[Tensor, Tensor] | None = None
        """`[distinct questions, longest, text width]` and their mask, in the order of `texts`."""
        if text_model is not None and fits(4 * math.prod(self._text_shape(text_model)), len(self.texts)):
            self.text_features = self._ask_text_encoder(text_model, between)

    def __len__(self) -> int:
        return len(self.image_of)

    @cached_property
    def truths(self) -> list[list[str]]:
        """Each row's right answers: ten of VQA v2's, one elsewhere."""
        return list(self.rows["answers"][:])

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> dict[str, Any]:
        """A whole batch, as torch's data loader asks for it.

        Rows whose image cannot be decoded are not in it. What is wrong with an image is under `problems`, once: in
        the batch, since this may be a process of the data loader's, which nobody else hears.
        """
        rows = torch.tensor(indices, dtype=torch.long)
        batch: dict[str, Any] = {}
        if self.image_features is not None:
            batch["image_features"] = self.image_features[self.image_of[rows]]
        else:
            rows, problems = self._with_pixels(batch, rows)
            if not len(rows) and self.stand_ins:
                rows, more = self._stand_in(batch, indices[-1])
                problems += more
            if problems:
                batch["problems"] = problems
        texts = self.text_of[rows]
        if self.text_features is not None:
            batch["text_features"] = self.text_features[0][texts]
            batch["attention_mask"] = self.text_features[1][texts]
        else:
            batch["input_ids"], mask = self.text_ids.padded(texts, self.processor.question_pad_id)
            batch["attention_mask"] = mask.long()
        batch["decoder_input_ids"], batch["labels"] = self._targets(self.answer_of[rows])
        batch["rows"] = rows
        return batch

    def _with_pixels(self, batch: dict[str, Any], rows: Tensor) -> tuple[Tensor, list[Problem]]:
        """Puts the pixels of the rows' images into a batch; gives the rows that have some, and what is wrong."""
        images = self.image_of[rows]
        readable = [place for place in images.unique().tolist() if place not in self.unreadable]
        pixels, whole, problems = prepare_images([self.image_paths[place] for place in readable], self.processor)
        places = {place: number for number, place in enumerate(itertools.compress(readable, whole))}
        self.unreadable.update(place for place in readable if place not in places)
        rows = rows[torch.tensor([place in places for place in images.tolist()], dtype=torch.bool)]
        batch["pixel_values"] = pixels[[places[place] for place in self.image_of[rows].tolist()]]
        return rows, problems

    def _stand_in(self, batch: dict[str, Any], after: int) -> tuple[Tensor, list[Problem]]:
        """The next row whose image can be decoded; none where no image can."""
        problems: list[Problem] = []
        rows = torch.empty(0, dtype=torch.long)
        for index in itertools.chain(range(after + 1, len(self)), range(after)):
            if int(self.image_of[index]) not in self.unreadable:
                rows, found = self._with_pixels(batch, torch.tensor([index]))
                problems += found
                if len(rows):
                    break
        return rows, problems

    def _targets(self, answers: Tensor) -> tuple[Tensor, Tensor]:
        """As `model.answer_labels`, for answers already tokenised."""
        begin = torch.full((len(answers), 1), self.processor.begin_id)
        ids, mask = self.answer_ids.padded(answers, self.processor.end_id)
        end = torch.full((len(answers), 1), IGNORED)
        labels = torch.cat([torch.where(mask, ids, IGNORED), end], dim=1)
        labels.scatter_(1, self.answer_ids.lengths(answers).unsqueeze(1), self.processor.end_id)
        return torch.cat([begin, ids], dim=1), labels

    def _text_shape(self, model: VqaModel) -> tuple[int, int, int]:
        """Of the text encoder's states of every distinct question."""
        questions = torch.arange(len(self.texts))
        longest = 1 if model.config.fusion == "mean" else int(self.text_ids.lengths(questions).max())
        return len(questions), longest, int(model.text_encoder.config.hidden_size)

    @torch.no_grad()
    def _ask_text_encoder(self, model: VqaModel, between: Between) -> tuple[Tensor, Tensor]:
        ids, mask = self.text_ids.padded(torch.arange(len(self.texts)), self.processor.question_pad_id)
        states = torch.empty(self._text_shape(model))
        for first in range(0, len(ids), ENCODE_BATCH):
            between("keeping the text encoder's features", first, len(ids))
            some = slice(first, first + ENCODE_BATCH)
            states[some] = model.text_states(ids[some].to(model.device), mask[some].long().to(model.device))
        return states, mask.long()


def prepare_images(paths: Sequence[str], processor: VqaProcessor) -> tuple[Tensor, list[bool], list[Problem]]:
    """Decodes and prepares images.

    Returns:
        Pixels of the images that can be read, `[readable, channels, height, width]`, which those are of all, and what
        is wrong with the others.
    """
    images, whole, problems = [], [], []
    for path in paths:
        try:
            images.append(open_image(Path(path)))
            whole.append(True)
        except LooptopError as error:
            whole.append(False)
            problems.append(Problem(image_problem(error, path), path, str(error)))
    return (processor.images(images) if images else torch.empty(0)), whole, problems


@torch.no_grad()
def keep_image_features(
    model: VqaModel,
    processor: VqaProcessor,
    paths: Sequence[str],
    on_problem: OnProblem,
    between: Between = lambda text, done, total: None,
) -> dict[str, Tensor]:
    """Asks the image encoder about every image once; images that cannot be decoded are left out.

    Args:
        model: In evaluation mode.
        processor: Prepares the images.
        paths: Each image once.
        on_problem: Told of each image that cannot be decoded.
        between: As `Questions` calls it.

    Returns:
        By path, `[1 or 1 + patches, image width]` on the CPU.
    """
    features: dict[str, Tensor] = {}
    for begin in range(0, len(paths), ENCODE_BATCH):
        between("keeping the image encoder's features", begin, len(paths))
        some = paths[begin : begin + ENCODE_BATCH]
        pixels, whole, problems = prepare_images(some, processor)
        for problem in problems:
            on_problem(problem)
        if len(pixels):
            states = model.image_states(pixels.to(model.device)).cpu()
            features.update(zip(itertools.compress(some, whole), states, strict=True))
    return features


def as_is(batch: Any) -> dict[str, Any]:
    """The data loader's collator: `Questions` already made a batch."""
    made: dict[str, Any] = batch
    return made


def _chosen(rows: Any, wanted: list[bool]) -> Any:
    return rows if all(wanted) else rows.select([place for place, here in enumerate(wanted) if here])


def _some_left(rows: Any) -> Any:
    if not len(rows):
        raise LooptopError("no question of a split can be used; the log lists what is wrong with the data")
    return rows


def _askable(rows: Any, tokens: Mapping[str, Sequence[int]], longest: int, on_problem: OnProblem) -> Any:
    """The rows whose question has words, and not more of them than the text encoder reads."""
    wrong = {
        text: LONG_QUESTION if text.strip() else EMPTY_QUESTION
        for text, row in tokens.items()
        if len(row) > longest or not text.strip()
    }
    if not wrong:
        return rows
    questions, names = rows["question"][:], rows["question_id"][:]
    for text, name in zip(questions, names, strict=True):
        if text in wrong:
            on_problem(Problem(wrong[text], f"question {name}", f"{len(text):,} letters" if text.strip() else ""))
    return _chosen(rows, [text not in wrong for text in questions])


def _distinct(values: Iterable[str]) -> tuple[list[str], Tensor]:
    """The distinct values in order of first sight, and each row's place among them."""
    places: dict[str, int] = {}
    which = [places.setdefault(value, len(places)) for value in values]
    return list(places), torch.tensor(which, dtype=torch.long)
