"""Counts a VQA run's data before it starts: questions and images of each split, and what will be left out.

Imports neither torch nor datasets. It reads the same rows with the same checks as `load.load_data`, without making the
data set.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from looptop.engine.config.vqa import DataConfig
from looptop.engine.errors import UNREADABLE, LooptopError
from looptop.engine.files.private import read_regular
from looptop.engine.paths import path_of
from looptop.engine.text import visible
from looptop.engine.vqa.data import easy_vqa, table, vqa_v2
from looptop.engine.vqa.data.left_out import EMPTY_ANSWER, Problems
from looptop.engine.vqa.data.rows import (
    Limits,
    Row,
    folder_of,
    held_out_images,
    limited,
    none_left_error,
    refuse_one_image,
)

SAMPLES = 4096
"""The largest number of questions and answers that are kept to count their tokens."""


class SplitCount(Struct, frozen=True):
    """How much a split has."""

    name: str
    questions: int
    images: int


class DataCounts(Struct, frozen=True):
    """How much a run's data has."""

    splits: tuple[SplitCount, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    """What is left out: for each kind of problem its name, and the number with the first names."""
    questions: tuple[str, ...] = ()
    """Some of the questions to train on, spread over all of them."""
    answers: tuple[str, ...] = ()
    """Their answers."""
    distinct_questions: int = 0
    """Over all splits; 0 if they were not read."""

    def of(self, name: str) -> SplitCount | None:
        """A split; None if there is none."""
        return next((split for split in self.splits if split.name == name), None)

    @property
    def images(self) -> int:
        """The number of images of all splits."""
        return sum(split.images for split in self.splits)


def count_data(config: DataConfig, seed: int) -> DataCounts:
    """Reads the configured source and counts it.

    Args:
        config: The source, and how much of it is taken.
        seed: Decides which images are held out for validation.

    Raises:
        LooptopError: The source cannot be read, or has no usable row.
    """
    source = path_of(config.source)
    if config.source not in ("easy-vqa", "vqa-v2"):
        prepared = _of_prepared(source)
        if prepared is not None:
            return prepared
    problems = Problems()
    splits: dict[str, list[Row]] = {}
    limits = Limits(config.start_at, config.end_at, config.max_images, config.max_questions)
    agreement = config.min_agreement if config.source == "vqa-v2" else 1
    for name, rows in _rows(config, limits, problems):
        before = len(problems)
        splits[name] = list(rows)
        if not splits[name]:
            kinds = {problem.kind for problem in problems.collected[before:]}
            if name == "test" and kinds == {EMPTY_ANSWER}:
                del splits[name]
                continue
            raise none_left_error(config.source, problems, limits, agreement)
    if "validation" not in splits:
        train = splits["train"]
        refuse_one_image([row.image_id for row in train], (row.image for row in train), problems)
        held = held_out_images((row.image_id for row in splits["train"]), config.validation_fraction, seed)
        everything = splits["train"]
        splits["train"] = [row for row in everything if row.image_id not in held]
        splits["validation"] = [row for row in everything if row.image_id in held]
    train = splits["train"]
    some = train[:: max(1, len(train) // SAMPLES)][:SAMPLES]
    return DataCounts(
        splits=tuple(
            SplitCount(name, len(splits[name]), len({row.image for row in splits[name]}))
            for name in ("train", "validation", "test")
            if name in splits
        ),
        left_out=tuple(problems.summary()),
        questions=tuple(row.question for row in some),
        answers=tuple(row.answer for row in some),
        distinct_questions=sum(len({row.question for row in rows}) for rows in splits.values()),
    )


def _rows(config: DataConfig, limits: Limits, problems: Problems) -> Iterator[tuple[str, Iterator[Row]]]:
    """The rows of the source's own splits."""
    if config.source == "easy-vqa":
        yield "train", limited(easy_vqa.rows("train", problems), limits)
        yield "test", limited(easy_vqa.rows("test", problems), limits)
        return
    images = folder_of(config.images, "image folder") if config.images else None
    if config.source == "vqa-v2":
        files = path_of(config.annotations), path_of(config.questions), path_of(config.images)
        yield "train", vqa_v2.rows(*files, limits, config.min_agreement, problems)
        return
    for name, path in table.find_tables(path_of(config.source).absolute()).items():
        yield name, limited(table.rows(path, problems, images, id_prefix=name), limits)


def _of_prepared(source: Path) -> DataCounts | None:
    """The counts that a prepared data set's own files name; None if it is none."""
    folders = {"train": source}
    if (source / "dataset_dict.json").is_file():
        folders = {name: source / name for name in ("train", "validation", "test")}
    elif not (source / "state.json").is_file():
        return None
    counts = []
    for name, folder in folders.items():
        if not (folder / "dataset_info.json").is_file():
            continue
        try:
            known = json.loads(read_regular(folder / "dataset_info.json")).get("splits") or {}
            number = sum(int(split["num_examples"]) for split in known.values())
        except (OSError, AttributeError, KeyError, TypeError, *UNREADABLE):
            number = 0
        counts.append(SplitCount(name, number, 0))
    if not counts:
        raise LooptopError(f"{visible(source)} is a prepared data set without dataset_info.json; it cannot be counted")
    return DataCounts(tuple(counts))
