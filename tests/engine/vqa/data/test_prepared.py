"""Data sets that are kept on disk, and those that people prepared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import datasets
import pytest

from looptop.engine.config.vqa import DataConfig
from looptop.engine.errors import LooptopError
from looptop.engine.vqa.data.load import load_data
from tests.factories.vqa_data import Published, save_jpeg


def test_the_same_sources_are_opened_again_at_once(published: Published, made: list[int], home: Path) -> None:
    published.path(5).unlink()
    first, problems = published.load()
    again, told_again = published.load()
    assert len(made) == 1
    assert first.to_list() == again.to_list()
    assert problems.collected == told_again.collected and len(problems) == 1
    assert again.cache_files, "mapped from disk, not held in memory"
    assert (home / "data-sets").is_dir()


def _touch_questions(published: Published) -> None:
    published.add(9999, 1, "new")
    published.write()


def _mend(published: Published) -> None:
    save_jpeg(published.path(2), 2)


def _bring(published: Published) -> None:
    save_jpeg(published.path(3), 3)


@pytest.mark.parametrize(("change", "rows"), [(_touch_questions, 10), (_mend, 12), (_bring, 12)])
def test_changed_sources_are_read_again(
    published: Published, made: list[int], change: Callable[[Published], None], rows: int
) -> None:
    published.path(2).write_bytes(b"broken")
    published.path(3).unlink()
    assert len(published.load()[0]) == 9
    change(published)
    dataset, _ = published.load()
    assert (len(dataset), len(made)) == (rows, 2)


def test_other_options_are_another_set(published: Published, made: list[int]) -> None:
    assert len(published.load(end_at=3)[0]) == 3
    assert len(published.load(end_at=4)[0]) == 4
    assert len(published.load(end_at=3)[0]) == 3
    assert len(made) == 2


def test_a_kept_set_that_is_damaged_is_made_anew(published: Published, made: list[int], home: Path) -> None:
    published.load()
    for file in (home / "data-sets").rglob("*.arrow"):
        file.write_bytes(b"damaged")
    assert len(published.load()[0]) == 15
    assert len(published.load()[0]) == 15
    assert len(made) == 2


def test_a_home_that_cannot_be_written_costs_only_time(
    published: Published, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(datasets.Dataset, "save_to_disk", full)
    assert len(published.load()[0]) == 15
    assert len(published.load()[0]) == 15
    assert len(made) == 2


def test_looking_only_keeps_no_set(
    published: Published, made: list[int], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPTOP_READONLY", "1")
    assert len(published.load()[0]) == len(published.load()[0]) == 15
    assert len(made) == 2 and not (home / "data-sets").exists()


def test_a_prepared_data_set(published: Published, tmp_path: Path) -> None:
    dataset, _ = published.load()
    dataset.save_to_disk(str(tmp_path / "mine"))
    data = load_data(DataConfig(source=str(tmp_path / "mine"), validation_fraction=0.2))
    assert (len(data.train), len(data.validation)) == (12, 3)
    assert data.train[0]["answers"] == dataset[0]["answers"]
    assert len(load_data(DataConfig(source=str(tmp_path / "mine"), end_at=6)).train) == 4


def test_a_prepared_data_set_with_splits_and_few_columns(tmp_path: Path) -> None:
    columns = {"image": ["a.jpg", "b.jpg"], "question": ["q?", "r?"], "answer": ["x", "y"]}
    splits = {name: datasets.Dataset.from_dict(columns) for name in ("train", "validation", "test")}
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "mine"))
    data = load_data(DataConfig(source=str(tmp_path / "mine")))
    assert data.test is not None and len(data.train) == len(data.validation) == len(data.test) == 2
    assert data.train[1]["answers"] == ["y"] and data.train[1]["image_id"] == "b.jpg"


def test_a_prepared_data_set_without_questions(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"image": ["a"], "text": ["b"]}).save_to_disk(str(tmp_path / "mine"))
    with pytest.raises(LooptopError, match="has no column question and no answer"):
        load_data(DataConfig(source=str(tmp_path / "mine")))


def test_a_damaged_prepared_data_set(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(LooptopError, match="cannot open the prepared data set"):
        load_data(DataConfig(source=str(tmp_path)))
