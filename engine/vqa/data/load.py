"""Loads a run's data (listing 7.3): easy-VQA, VQA v2 as published, a folder with a table, or a prepared data set.

Every source gives the same table with one question a row; images are paths and are decoded when they are needed.
Validation is split off by image, so that no image is on both sides. Rows that cannot be used are left out and reported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import datasets
import msgspec

from looptop.engine.config.vqa import DataConfig
from looptop.engine.errors import LooptopError
from looptop.engine.paths import path_of
from looptop.engine.text import visible
from looptop.engine.vqa.data import easy_vqa, prepared, table, vqa_v2
from looptop.engine.vqa.data.left_out import EMPTY_ANSWER, Problem, Problems
from looptop.engine.vqa.data.rows import (
    Limits,
    Progress,
    Row,
    folder_of,
    held_out_images,
    limited,
    none_left_error,
    refuse_one_image,
    reported,
)
from looptop.engine.vqa.data.split_name import source_and_split


@dataclass(frozen=True)
class VqaData:
    """The splits of a run's data, and what was left out."""

    train: datasets.Dataset
    validation: datasets.Dataset
    test: datasets.Dataset | None
    problems: Problems
    name: str


def load_data(
    config: DataConfig,
    seed: int = 42,
    on_problem: Callable[[Problem], None] | None = None,
    progress: Progress | None = None,
) -> VqaData:
    """Reads the configured source and splits validation off by image.

    Args:
        config: The source and how much of it is taken; the limits apply to each split.
        seed: Decides which images are held out.
        on_problem: Called with each row or image that is left out.
        progress: Called with (rows done, total) while a large source is prepared.

    Raises:
        LooptopError: The source does not exist, cannot be read, or has no usable row.
    """
    problems = Problems(on_problem)
    splits = _read(config, problems, progress)
    train, validation = splits["train"], splits.get("validation")
    if validation is None:
        train, validation = split_by_image(train, config.validation_fraction, seed, problems)
    return VqaData(train, validation, splits.get("test"), problems, _name(config))


@dataclass(frozen=True)
class NamedSplit:
    """One split of a source."""

    source: str
    split: str
    """Empty if the source has one table and all of it was taken."""
    rows: datasets.Dataset
    train: datasets.Dataset | None
    """The training split that belongs to it; None if all of the source was taken."""


def load_split(name: str, config: DataConfig | None = None) -> datasets.Dataset:
    """The rows of `load_named_split`."""
    return load_named_split(name, config).rows


def load_named_split(
    name: str,
    config: DataConfig | None = None,
    seed: int = 42,
    on_problem: Callable[[Problem], None] | None = None,
) -> NamedSplit:
    """One split, as named on the command line: `easy-vqa:test`, `easy-vqa:validation`, `FOLDER`, `FOLDER:train`.

    Without a split's name: the test split if the source has one, else all of it.

    Args:
        name: `SOURCE:SPLIT`, `SOURCE`, or `:SPLIT` of the configuration's source.
        config: Other settings of the source (the files of `vqa-v2`, limits, the share held out).
        seed: Decides which images are held out.
        on_problem: Called with each row or image that is left out.

    Raises:
        LooptopError: As for `load_data`; or the source has no such split.
    """
    source, split = source_and_split(name)
    config = (
        DataConfig(source=source) if config is None else msgspec.structs.replace(config, source=source or config.source)
    )
    if split in ("train", "validation"):
        data = load_data(config, seed, on_problem)
        return NamedSplit(config.source, split, data.train if split == "train" else data.validation, data.train)
    splits = _read(config, Problems(on_problem), None)
    if split and split not in splits:
        raise LooptopError(f"{visible(config.source)} has no {split} split; it has: {', '.join(splits)}")
    if "test" in splits:
        return NamedSplit(config.source, "test", splits["test"], splits["train"])
    return NamedSplit(config.source, "", splits["train"], None)


def load_vqa_data(
    annotations_file: str | os.PathLike[str],
    questions_file: str | os.PathLike[str],
    images_folder: str | os.PathLike[str],
    start_at: int | None = None,
    end_at: int | None = None,
    max_images: int | None = None,
    max_questions: int | None = None,
    min_agreement: int = 1,
    problems: Problems | None = None,
    progress: Progress | None = None,
) -> datasets.Dataset:
    """VQA v2 as published, as a data set that is cached on disk while files and options stay the same.

    Args:
        annotations_file: `v2_mscoco_train2014_annotations.json`, or another of its form.
        questions_file: `v2_OpenEnded_mscoco_train2014_questions.json`, or another of its form.
        images_folder: The images, named `COCO_train2014_000000000009.jpg`, `9.jpg` or similar.
        start_at: The first question taken, counted from 0.
        end_at: The first question that is no longer taken.
        max_images: The greatest number of images.
        max_questions: The greatest number of questions about one image, as in the listing.
        min_agreement: The number of the ten answers that must agree for a question to be kept.
        problems: Collects what is left out.
        progress: Called with (questions done, total) while the set is prepared.

    Raises:
        LooptopError: A file or the folder cannot be read, or no question is left.
    """
    problems = Problems() if problems is None else problems
    limits = Limits(start_at, end_at, max_images, max_questions)
    annotations, questions = path_of(annotations_file), path_of(questions_file)
    images = folder_of(images_folder, "image folder")
    dataset = prepared.cached(
        {"kind": "vqa-v2", "limits": msgspec.to_builtins(limits), "min_agreement": min_agreement},
        [annotations, questions, *vqa_v2.image_folders(images)],
        lambda noted: vqa_v2.rows(annotations, questions, images, limits, min_agreement, noted, progress),
        problems,
    )
    if not len(dataset):
        raise none_left_error(questions, problems, limits, min_agreement)
    return dataset


def split_by_image(
    dataset: datasets.Dataset, fraction: float, seed: int, problems: Problems | None = None
) -> tuple[datasets.Dataset, datasets.Dataset]:
    """Splits rows into train and validation, with no image on both sides.

    Which images are held out: `rows.held_out_images`.

    Raises:
        LooptopError: There is only one image, or one `image_id`; names the `problems` that left others out.
    """
    ids = dataset["image_id"][:]
    refuse_one_image(ids, dataset["image"], problems)
    held = held_out_images(ids, fraction, seed)
    is_held = [image_id in held for image_id in ids]
    return prepared.rows_where(dataset, [not held_out for held_out in is_held]), prepared.rows_where(dataset, is_held)


def _read(config: DataConfig, problems: Problems, progress: Progress | None) -> dict[str, datasets.Dataset]:
    """The source's own splits; `train` always exists."""
    limits = Limits(config.start_at, config.end_at, config.max_images, config.max_questions)
    if config.source == "easy-vqa":
        return {
            split: _whole("easy-vqa", reported(easy_vqa.rows(split, problems), progress), limits, problems)
            for split in ("train", "test")
        }
    if config.source == "vqa-v2":
        return {"train": _read_vqa_v2(config, limits, problems, progress)}
    source = path_of(config.source).absolute()
    if not source.exists():
        raise LooptopError(
            f"there is no data '{visible(config.source)}'; give easy-vqa, vqa-v2, a folder with images and a CSV or"
            " JSONL table, or a prepared data set"
        )
    images = folder_of(config.images, "image folder") if config.images else None
    if prepared.is_prepared(source):
        opened = prepared.open_folder(source, problems, images, progress)
        return {split: _limited(dataset, limits, source) for split, dataset in opened.items()}
    read = {
        split: _read_table(path, split, limits, images, problems, progress)
        for split, path in table.find_tables(source).items()
    }
    return {split: dataset for split, dataset in read.items() if dataset is not None}


def _read_vqa_v2(config: DataConfig, limits: Limits, problems: Problems, progress: Progress | None) -> datasets.Dataset:
    for key in ("annotations", "questions", "images"):
        if not getattr(config, key):
            raise LooptopError(f"the data source vqa-v2 needs data.{key}; set it in the configuration or with --set")
    return load_vqa_data(
        config.annotations,
        config.questions,
        config.images,
        limits.start_at,
        limits.end_at,
        limits.max_images,
        limits.max_questions,
        config.min_agreement,
        problems,
        progress,
    )


def _read_table(
    path: Path, split: str, limits: Limits, images: Path | None, problems: Problems, progress: Progress | None
) -> datasets.Dataset | None:
    """A table's rows; None for a test split without answers, as challenges publish them."""

    def make(noted: Problems) -> list[Row]:
        return list(limited(reported(table.rows(path, noted, images, id_prefix=split), progress), limits))

    before = len(problems)
    key = {"kind": "table", "limits": msgspec.to_builtins(limits), "images": str(images), "split": split}
    dataset = prepared.cached(key, [path], make, problems)
    if not len(dataset):
        if split == "test" and {problem.kind for problem in problems.collected[before:]} == {EMPTY_ANSWER}:
            return None
        raise none_left_error(path, problems, limits)
    return dataset


def _whole(where: str, rows: Iterator[Row], limits: Limits, problems: Problems) -> datasets.Dataset:
    dataset = prepared.to_dataset(limited(rows, limits))
    if not len(dataset):
        raise none_left_error(where, problems, limits)
    return dataset


def _limited(dataset: datasets.Dataset, limits: Limits, source: Path) -> datasets.Dataset:
    if limits != Limits():
        dataset = prepared.to_dataset(limited([Row(**row) for row in dataset], limits))
    if not len(dataset):
        raise none_left_error(source, Problems(), limits)
    return dataset


def _name(config: DataConfig) -> str:
    return config.source if config.source in ("easy-vqa", "vqa-v2") else Path(config.source).absolute().name
