"""A split of questions as batches of tensors, made whole-batch at a time.

Questions and answers are tokenised once, images are decoded when a batch needs them (each once a batch), and what a
frozen encoder says of them can be kept and takes their place. Preparing a batch of kept features is a handful of tensor
look-ups, which is what makes a step of the tiny preset cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible
from looptop.engine.vqa.images import open_image
from looptop.engine.vqa.labels import IGNORED
from looptop.engine.vqa.model import VqaModel
from looptop.engine.vqa.processing import VqaProcessor

OnBroken = Callable[[str, LooptopError], None]
"""Told the path of an image that cannot be decoded, and why."""

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


class Questions(Dataset[dict[str, Tensor]]):
    """One split: rows of (image, question, answer), asked for in batches of indices.

    Args:
        rows: A table with the columns `image` (a path), `question`, `answer`.
        processor: Prepares questions, answers and images.
        on_broken: Told of an image that cannot be decoded; its rows are left out of their batch.
        image_features: What a frozen image encoder said of each image, by path; rows of other images are left out.
        text_model: A model whose frozen text encoder is asked about every distinct question now, and not again.
    """

    def __init__(
        self,
        rows: Any,
        processor: VqaProcessor,
        on_broken: OnBroken,
        image_features: Mapping[str, Tensor] | None = None,
        text_model: VqaModel | None = None,
    ) -> None:
        if image_features is not None:
            known = [place for place, path in enumerate(rows["image"][:]) if path in image_features]
            rows = rows if len(known) == len(rows) else rows.select(known)
        self.rows = rows
        self.processor = processor
        self.on_broken = on_broken
        self.image_paths, self.image_of = _distinct(rows["image"][:])
        self.texts, self.text_of = _distinct(rows["question"][:])
        answers, self.answer_of = _distinct(rows["answer"][:])
        self.text_ids = Ragged(processor.question_ids(self.texts))
        self.answer_ids = Ragged(processor.answer_ids(answers))
        self.image_features: Tensor | None = None
        """`[images, 1 or 1 + patches, image width]`, in the order of `image_paths`."""
        if image_features is not None:
            self.image_features = torch.stack([image_features[path] for path in self.image_paths])
        self.text_features: tuple[Tensor, Tensor] | None = None
        """`[distinct questions, longest, text width]` and their mask, in the order of `texts`."""
        if text_model is not None:
            self.text_features = self._ask_text_encoder(text_model)

    def __len__(self) -> int:
        return len(self.image_of)

    @cached_property
    def truths(self) -> list[list[str]]:
        """Each row's right answers: ten of VQA v2's, one elsewhere."""
        return list(self.rows["answers"][:])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        """A whole batch, as torch's data loader asks for it."""
        rows = torch.tensor(indices, dtype=torch.long)
        batch: dict[str, Tensor] = {}
        images = self.image_of[rows]
        if self.image_features is not None:
            batch["image_features"] = self.image_features[images]
        else:
            used, back = torch.unique(images, return_inverse=True)
            paths = [self.image_paths[place] for place in used.tolist()]
            pixels, whole = prepare_images(paths, self.processor, self.on_broken)
            good = whole[back]
            rows, back = rows[good], back[good]
            if not len(rows):
                raise LooptopError(
                    f"none of the {len(paths)} images of a batch can be read, among them {visible(paths[0])};"
                    " look at the data set"
                )
            # Rows that lost their image are gone: the place of each remaining image among the whole ones.
            batch["pixel_values"] = pixels[(whole.long().cumsum(0) - 1)[back]]
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

    def _targets(self, answers: Tensor) -> tuple[Tensor, Tensor]:
        """As `model.answer_labels`, for answers already tokenised."""
        begin = torch.full((len(answers), 1), self.processor.begin_id)
        ids, mask = self.answer_ids.padded(answers, self.processor.end_id)
        end = torch.full((len(answers), 1), IGNORED)
        labels = torch.cat([torch.where(mask, ids, IGNORED), end], dim=1)
        labels.scatter_(1, self.answer_ids.lengths(answers).unsqueeze(1), self.processor.end_id)
        return torch.cat([begin, ids], dim=1), labels

    @torch.no_grad()
    def _ask_text_encoder(self, model: VqaModel) -> tuple[Tensor, Tensor]:
        ids, mask = self.text_ids.padded(torch.arange(len(self.texts)), self.processor.question_pad_id)
        states = [
            model.text_states(some.to(model.device), there.long().to(model.device)).float().cpu()
            for some, there in zip(ids.split(ENCODE_BATCH), mask.split(ENCODE_BATCH), strict=True)
        ]
        return torch.cat(states), mask.long()


def prepare_images(paths: Sequence[str], processor: VqaProcessor, on_broken: OnBroken) -> tuple[Tensor, Tensor]:
    """Decodes and prepares images.

    Returns:
        Pixels of the images that can be read, `[readable, channels, height, width]`, and which those are,
        `[len(paths)]`.
    """
    images = []
    whole = torch.ones(len(paths), dtype=torch.bool)
    for place, path in enumerate(paths):
        try:
            images.append(open_image(Path(path)))
        except LooptopError as error:
            whole[place] = False
            on_broken(path, error)
    return (processor.images(images) if images else torch.empty(0)), whole


@torch.no_grad()
def keep_image_features(
    model: VqaModel, processor: VqaProcessor, paths: Sequence[str], on_broken: OnBroken
) -> dict[str, Tensor]:
    """Asks the frozen image encoder about every image once, in fp32; images that cannot be decoded are left out.

    Returns:
        By path, `[1 or 1 + patches, image width]` on the CPU.
    """
    features: dict[str, Tensor] = {}
    for begin in range(0, len(paths), ENCODE_BATCH):
        some = paths[begin : begin + ENCODE_BATCH]
        pixels, whole = prepare_images(some, processor, on_broken)
        readable = [path for path, good in zip(some, whole.tolist(), strict=True) if good]
        if readable:
            features.update(zip(readable, model.image_states(pixels.to(model.device)).cpu(), strict=True))
    return features


def as_is(batch: Any) -> dict[str, Tensor]:
    """The data loader's collator: `Questions` already made a batch."""
    made: dict[str, Tensor] = batch
    return made


def _distinct(values: Iterable[str]) -> tuple[list[str], Tensor]:
    """The distinct values in order of first sight, and each row's place among them."""
    places: dict[str, int] = {}
    which = [places.setdefault(value, len(places)) for value in values]
    return list(places), torch.tensor(which, dtype=torch.long)
