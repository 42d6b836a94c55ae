"""Splits, limits and names that every source shares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.config.vqa import DataConfig
from looptop.engine.errors import LooptopError
from looptop.engine.vqa.data import prepared
from looptop.engine.vqa.data.load import load_data, load_split, split_by_image
from looptop.engine.vqa.data.rows import Limits, Row
from tests.factories.vqa_data import LINES, Published, images_of, write_table


def test_vqa_v2_is_split_by_image(published: Published) -> None:
    data = load_data(published.config(validation_fraction=0.4))
    assert (len(images_of(data.train)), len(images_of(data.validation)), data.test) == (3, 2, None)
    assert (len(data.train), len(data.validation)) == (9, 6)
    assert not images_of(data.train) & images_of(data.validation)
    assert data.name == "vqa-v2"


def rows_of(ids: list[str]) -> datasets.Dataset:
    return prepared.to_dataset(Row(i, i, f"{i}-{n}", "q?", "a", ["a"]) for n, i in enumerate(ids))


@given(st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=2, max_size=30), st.integers(0, 5), st.randoms())
def test_the_split_depends_on_image_and_seed_alone(ids: list[str], seed: int, random: Any) -> None:
    if len(set(ids)) < 2:
        ids = [*ids, "another"]
    train, validation = split_by_image(rows_of(ids), 0.3, seed)
    assert images_of(train) | images_of(validation) == set(ids)
    assert not images_of(train) & images_of(validation)
    assert len(train) + len(validation) == len(ids) and len(train) and len(validation)
    shuffled = ids.copy()
    random.shuffle(shuffled)
    assert images_of(split_by_image(rows_of(shuffled), 0.3, seed)[1]) == images_of(validation)


def test_another_seed_is_another_split() -> None:
    dataset = rows_of([str(n) for n in range(200)])
    splits = {frozenset(images_of(split_by_image(dataset, 0.1, seed)[1])) for seed in range(5)}
    assert len(splits) == 5 and {len(split) for split in splits} == {20}


def test_one_image_cannot_be_split() -> None:
    with pytest.raises(LooptopError, match="only one image"):
        split_by_image(rows_of(["a", "a"]), 0.5, 0)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("question_id", r"only one image; .*; left out: duplicate id: 5 \(question 7\)"),
        (
            "image_id",
            r"all images of the data have the image_id 7, and so count as one image; a second one is needed.*n$",
        ),
    ],
)
def test_what_leaves_one_image_is_told(tmp_path: Path, column: str, reason: str) -> None:
    lines = [{"image": f"pictures/{n}.jpg", "question": "?", "answer": "x", column: 7} for n in range(6)]
    write_table(tmp_path, "all.jsonl", "\n".join(map(json.dumps, lines)), images=6)
    for _ in range(2):
        with pytest.raises(LooptopError, match=reason):
            load_data(DataConfig(source=str(tmp_path)))


def test_limits_hold_for_each_split() -> None:
    data = load_data(DataConfig(source="easy-vqa", max_images=40, max_questions=2, validation_fraction=0.25))
    assert (len(images_of(data.train)), len(images_of(data.validation)), len(images_of(data.test))) == (30, 10, 40)
    assert (len(data.train), len(data.validation), len(data.test)) == (60, 20, 80)  # type: ignore[arg-type]


def test_data_that_is_nowhere() -> None:
    with pytest.raises(LooptopError, match="there is no data 'easy_vqa'; give easy-vqa, vqa-v2, a folder"):
        load_data(DataConfig(source="easy_vqa"))


def test_splits_by_name(easy: Any) -> None:
    assert load_split("easy-vqa:test").to_list()[:5] == easy.test.to_list()[:5]
    assert len(load_split("easy-vqa")) == 9_673
    assert images_of(load_split("easy-vqa:validation")) == images_of(easy.validation)
    assert len(load_split(":train", DataConfig(source="easy-vqa"))) == len(easy.train)


def test_all_of_a_folder_without_splits(tmp_path: Path) -> None:
    write_table(tmp_path, "all.csv", "image,question,answer\n" + LINES.format(","))
    assert len(load_split(str(tmp_path))) == 3
    assert len(load_split(f"{tmp_path}:validation")) == 1
    with pytest.raises(LooptopError, match="has no test split; it has: train"):
        load_split(f"{tmp_path}:test")


def test_vqa_v2_by_name(published: Published) -> None:
    assert len(load_split("vqa-v2", published.config())) == 15
    assert len(load_split("vqa-v2:validation", published.config(validation_fraction=0.4))) == 6


def test_limits_are_no_limits_by_default() -> None:
    assert Limits() == Limits(None, None, None, None)
