"""Turns a split of questions into batches of tensors, a whole batch at a time.

Questions and answers are tokenised once. Images are decoded when a batch needs them, each once a batch. The features of
a frozen encoder can be kept and used instead; a batch then needs only a few tensor look-ups, which makes a step of the
tiny preset cheap.
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
from looptop.engine.text import counted
from looptop.engine.vqa.data.left_out import EMPTY_QUESTION, LONG_QUESTION, Problem
from looptop.engine.vqa.data.rows import image_problem
from looptop.engine.vqa.images.decode import open_image
from looptop.engine.vqa.model.processing import IGNORED, VqaProcessor
from looptop.engine.vqa.model.vqa_model import VqaModel

OnProblem = Callable[[Problem], object]
"""Called with each question or image that is left out."""

OnProgress = Callable[[str, int, int], object]
"""Called now and then during long work with its description, the amount done and the total."""

TOKENISE_BATCH_SIZE = 4096
"""The number of questions that are tokenised together."""

ENCODE_BATCH_SIZE = 64
"""The number of images or questions in a batch of a frozen encoder whose features are kept."""


class Ragged:
    """Rows of token ids of different lengths in one flat tensor."""

    def __init__(self, rows: Iterable[Sequence[int]]) -> None:
        lists = [list(row) for row in rows]
        lengths = torch.tensor([len(row) for row in lists], dtype=torch.long)
        self.starts = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
        self.flat = torch.tensor([token for row in lists for token in row], dtype=torch.int32)

    def lengths(self, rows: Tensor) -> Tensor:
        """The length of each of the rows, `[n]`."""
        return self.starts[rows + 1] - self.starts[rows]

    def padded(self, rows: Tensor, fill: int) -> tuple[Tensor, Tensor]:
        """Pads the rows to one length.

        Returns:
            Token ids `[n, longest]` with `fill` after the shorter rows, and the mask of the real tokens.
        """
        lengths = self.lengths(rows)
        columns = torch.arange(int(lengths.max()) if len(rows) else 0)
        mask = columns < lengths.unsqueeze(1)
        indices = (self.starts[rows].unsqueeze(1) + columns).clamp(max=max(len(self.flat) - 1, 0))
        return torch.where(mask, self.flat[indices].long(), fill), mask


class Questions(Dataset[dict[str, Any]]):
    """One split: rows of (image, question, answer), which are read in batches of indices.

    Args:
        rows: A table with the columns `image` (a path), `question`, `answer`, `question_id`.
        processor: Prepares questions, answers and images.
        on_problem: Called with each question that cannot be asked and is left out.
        image_features: A frozen image encoder's features of each image, by path; rows of other images are left out.
        text_model: A model whose frozen text encoder's features are computed once for every distinct question.
        fits: Called with the size of these features in bytes and the number of questions; returns whether to keep them.
        stand_ins: Replace a batch in which no image can be decoded by another row, as training needs it; otherwise such
            a batch has no rows.
        on_progress: Called between batches of tokenising and of the text encoder; may raise to stop.

    Raises:
        LooptopError: All rows are left out.
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
        on_progress: OnProgress = lambda text, done, total: None,
    ) -> None:
        if image_features is not None:
            chosen = _chosen(rows, [path in image_features for path in rows["image"][:]])
            rows = _not_empty(chosen, f"its images cannot be decoded ({counted(len(rows), 'question')})")
        distinct = list(dict.fromkeys(rows["question"][:]))
        tokens: dict[str, list[int]] = {}
        for first in range(0, len(distinct), TOKENISE_BATCH_SIZE):
            on_progress("preparing the questions", first, len(distinct))
            some = distinct[first : first + TOKENISE_BATCH_SIZE]
            tokens |= zip(some, processor.question_ids(some), strict=True)
        askable = _askable(rows, tokens, processor.max_question_tokens, on_problem)
        longest = f"empty or longer than the {processor.max_question_tokens} tokens that the text encoder reads"
        rows = _not_empty(askable, f"each is {longest} ({counted(len(rows), 'question')})")
        self.rows = rows
        self.processor = processor
        self.stand_ins = stand_ins
        self.unreadable: set[int] = set()
        """Indices in `image_paths` of images that this process could not decode."""
        self.image_paths, self.image_of = _distinct(rows["image"][:])
        self.texts, self.text_of = _distinct(rows["question"][:])
        self.text_ids = Ragged(tokens[text] for text in self.texts)
        self.dropped = torch.zeros(len(rows), dtype=torch.bool)
        """`[rows]`: the questions that keep their turn, but on whose answers nothing is trained."""
        self.edit({})
        self.image_features: Tensor | None = None
        """`[images, 1 or 1 + patches, image width]`, in the order of `image_paths`."""
        if image_features is not None:
            self.image_features = torch.stack([image_features[path] for path in self.image_paths])
        self.text_features: tuple[Tensor, Tensor] | None = None
        """`[distinct questions, longest, text width]` and their mask, in the order of `texts`."""
        if text_model is not None and fits(4 * math.prod(self._text_shape(text_model)), len(self.texts)):
            self.text_features = self._encode_questions(text_model, on_progress)

    def __len__(self) -> int:
        return len(self.image_of)

    def edit(self, answers: Mapping[int, str | None]) -> None:
        """Replaces earlier edits: gives rows other answers than those of the data, or drops them (None)."""
        labels = list(self.rows["answer"][:])
        self.dropped.fill_(False)
        for row, answer in answers.items():
            if answer is None:
                self.dropped[row] = True
            else:
                labels[row] = answer
        distinct, self.answer_of = _distinct(labels)
        self.answer_ids = Ragged(self.processor.answer_ids(distinct))

    @cached_property
    def truths(self) -> list[list[str]]:
        """Each row's correct answers: ten in VQA v2, one elsewhere."""
        return list(self.rows["answers"][:])

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> dict[str, Any]:
        """A whole batch, as torch's data loader requests it.

        Rows whose image cannot be decoded are left out. New problems are in the batch, under `problems`: this may run
        in a process of the data loader, which cannot report them itself.
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
        batch["decoder_input_ids"], labels = self._targets(self.answer_of[rows])
        batch["labels"] = labels.masked_fill(self.dropped[rows].unsqueeze(1), IGNORED)
        batch["rows"] = rows
        return batch

    def _with_pixels(self, batch: dict[str, Any], rows: Tensor) -> tuple[Tensor, list[Problem]]:
        """Adds the pixels of the rows' images to a batch; returns the rows with pixels, and the new problems."""
        images = self.image_of[rows]
        readable = [image for image in images.unique().tolist() if image not in self.unreadable]
        pixels, decoded, problems = prepare_images([self.image_paths[image] for image in readable], self.processor)
        index_of = {image: index for index, image in enumerate(itertools.compress(readable, decoded))}
        self.unreadable.update(image for image in readable if image not in index_of)
        rows = rows[torch.tensor([image in index_of for image in images.tolist()], dtype=torch.bool)]
        batch["pixel_values"] = pixels[[index_of[image] for image in self.image_of[rows].tolist()]]
        return rows, problems

    def _stand_in(self, batch: dict[str, Any], after: int) -> tuple[Tensor, list[Problem]]:
        """The next row whose image can be decoded; no rows if no image can."""
        problems: list[Problem] = []
        rows = torch.empty(0, dtype=torch.long)
        for index in itertools.chain(range(after + 1, len(self)), range(after)):
            if int(self.image_of[index]) not in self.unreadable:
                rows, new_problems = self._with_pixels(batch, torch.tensor([index]))
                problems += new_problems
                if len(rows):
                    break
        return rows, problems

    def _targets(self, answers: Tensor) -> tuple[Tensor, Tensor]:
        """As `processing.answer_labels`, for answers that are already tokenised."""
        begin = torch.full((len(answers), 1), self.processor.begin_id)
        ids, mask = self.answer_ids.padded(answers, self.processor.end_id)
        end = torch.full((len(answers), 1), IGNORED)
        labels = torch.cat([torch.where(mask, ids, IGNORED), end], dim=1)
        labels.scatter_(1, self.answer_ids.lengths(answers).unsqueeze(1), self.processor.end_id)
        return torch.cat([begin, ids], dim=1), labels

    def _text_shape(self, model: VqaModel) -> tuple[int, int, int]:
        """The shape of the text encoder's states of all distinct questions."""
        questions = torch.arange(len(self.texts))
        longest = 1 if model.config.fusion == "mean" else int(self.text_ids.lengths(questions).max())
        return len(questions), longest, int(model.text_encoder.config.hidden_size)

    @torch.no_grad()
    def _encode_questions(self, model: VqaModel, on_progress: OnProgress) -> tuple[Tensor, Tensor]:
        ids, mask = self.text_ids.padded(torch.arange(len(self.texts)), self.processor.question_pad_id)
        states = torch.empty(self._text_shape(model))
        for first in range(0, len(ids), ENCODE_BATCH_SIZE):
            on_progress("keeping the text encoder's features", first, len(ids))
            some = slice(first, first + ENCODE_BATCH_SIZE)
            states[some] = model.text_states(ids[some].to(model.device), mask[some].long().to(model.device))
        return states, mask.long()


def prepare_images(paths: Sequence[str], processor: VqaProcessor) -> tuple[Tensor, list[bool], list[Problem]]:
    """Decodes and prepares images.

    Returns:
        Pixels of the images that can be read, `[readable, channels, height, width]`; for each image whether it can be
        read; and the problems of the others.
    """
    images, readable, problems = [], [], []
    for path in paths:
        try:
            images.append(open_image(Path(path)))
            readable.append(True)
        except LooptopError as error:
            readable.append(False)
            problems.append(Problem(image_problem(error, path), path, str(error)))
    return (processor.images(images) if images else torch.empty(0)), readable, problems


@torch.no_grad()
def keep_image_features(
    model: VqaModel,
    processor: VqaProcessor,
    paths: Sequence[str],
    on_problem: OnProblem,
    on_progress: OnProgress = lambda text, done, total: None,
) -> dict[str, Tensor]:
    """Computes the image encoder's features of every image once; images that cannot be decoded are left out.

    Args:
        model: In evaluation mode.
        processor: Prepares the images.
        paths: Each image once.
        on_problem: Called with each image that cannot be decoded.
        on_progress: Called between batches, as in `Questions`.

    Returns:
        Features by path, `[1 or 1 + patches, image width]` on the CPU.
    """
    features: dict[str, Tensor] = {}
    for begin in range(0, len(paths), ENCODE_BATCH_SIZE):
        on_progress("keeping the image encoder's features", begin, len(paths))
        some = paths[begin : begin + ENCODE_BATCH_SIZE]
        pixels, readable, problems = prepare_images(some, processor)
        for problem in problems:
            on_problem(problem)
        if len(pixels):
            states = model.image_states(pixels.to(model.device)).cpu()
            features.update(zip(itertools.compress(some, readable), states, strict=True))
    return features


def identity(batch: Any) -> dict[str, Any]:
    """The data loader's collator: `Questions` returns complete batches already."""
    unchanged: dict[str, Any] = batch
    return unchanged


def _chosen(rows: Any, wanted: list[bool]) -> Any:
    return rows if all(wanted) else rows.select([index for index, is_wanted in enumerate(wanted) if is_wanted])


def _not_empty(rows: Any, why: str) -> Any:
    if not len(rows):
        raise LooptopError(f"no question of a split can be used: {why}; the log lists them")
    return rows


def _askable(rows: Any, tokens: Mapping[str, Sequence[int]], longest: int, on_problem: OnProblem) -> Any:
    """The rows whose question is not empty, and not longer than the text encoder reads."""
    problem_of = {
        text: LONG_QUESTION if text.strip() else EMPTY_QUESTION
        for text, row in tokens.items()
        if len(row) > longest or not text.strip()
    }
    if not problem_of:
        return rows
    questions, names = rows["question"][:], rows["question_id"][:]
    for text, name in zip(questions, names, strict=True):
        if text in problem_of:
            on_problem(
                Problem(problem_of[text], f"question {name}", f"{counted(len(text), 'letter')}" if text.strip() else "")
            )
    return _chosen(rows, [text not in problem_of for text in questions])


def _distinct(values: Iterable[str]) -> tuple[list[str], Tensor]:
    """The distinct values in order of first occurrence, and each row's index among them."""
    index_of: dict[str, int] = {}
    indices = [index_of.setdefault(value, len(index_of)) for value in values]
    return list(index_of), torch.tensor(indices, dtype=torch.long)
