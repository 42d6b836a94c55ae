"""Which questions an evaluation asks, and in which training data its question-only baseline counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from looptop.engine.config import override, preset
from looptop.engine.errors import LooptopError
from looptop.engine.runs.folder import RunFolder
from looptop.engine.vqa.evaluation.data import choose_data


def make_source(folder: Path, splits: dict[str, Sequence[str]], images: int = 10, name: str = "i") -> str:
    """A folder with tables; each split has these answers in turn, one about each image."""
    folder.mkdir()
    for split, answers in splits.items():
        lines = ["image,question,answer"]
        for number in range(images):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{split}{number}.png")
            lines.append(f"{split}{number}.png,what is it?,{answers[number % len(answers)]}")
        (folder / f"{split}.csv").write_text("\n".join(lines))
    return str(folder)


@pytest.fixture
def source(tmp_path: Path) -> str:
    return make_source(tmp_path / "own", {"train": ["red"], "test": ["blue"]})


def run_on(source: str, *settings: str) -> str:
    return RunFolder.create("vqa", override(preset("tiny"), [f"data.source={source}", *settings])).id


def test_a_runs_own_test_split_is_asked_and_its_training_split_counted(source: str) -> None:
    chosen = choose_data(run_on(source), None, (), None)
    assert (chosen.source, chosen.split, chosen.training_data) == (source, "test", f"{source}:train")
    assert [row.answer for row in chosen.rows] == ["blue"] * 10
    assert chosen.question_only is not None and chosen.question_only.answer("what is it?", "") == "red"
    assert [row.image for row in choose_data(run_on(source), None, (), 3).rows] == [
        row.image for row in chosen.rows[:3]
    ]
    assert len(choose_data(run_on(source), None, (), 99).rows) == 10


def test_without_a_test_split_the_validation_split_is_asked(tmp_path: Path) -> None:
    source = make_source(tmp_path / "own", {"train": ["red"], "validation": ["blue"]})
    chosen = choose_data(run_on(source), None, (), None)
    assert (chosen.split, chosen.training_data) == ("validation", f"{source}:train")
    assert {row.answer for row in chosen.rows} == {"blue"}


@pytest.mark.parametrize("data", [False, True])
def test_the_runs_limits_do_not_shorten_the_test_split(source: str, data: bool) -> None:
    limited = run_on(source, "data.max_images=4")
    assert len(choose_data(limited, f"{source}:test" if data else None, (), None).rows) == 10
    chosen = choose_data(limited, None, ("data.max_images=5",), None)
    assert len(chosen.rows) == 10 and chosen.split == "test"


def test_a_bad_row_is_noted_once(source: str) -> None:
    (Path(source) / "test.csv").open("a").write("\nmissing.png,what is it?,red")
    for settings in ((), ("data.max_images=5",)):
        assert choose_data(run_on(source), None, settings, None).problems.counts == {"missing image": 1}


def test_on_other_data_the_baseline_counts_in_what_the_run_was_trained_on(source: str, tmp_path: Path) -> None:
    other = make_source(tmp_path / "other", {"train": ["green"], "test": ["black"]})
    chosen = choose_data(run_on(source), f"{other}:test", (), None)
    assert (chosen.source, chosen.split, chosen.training_data) == (other, "test", f"{source}:train")
    assert chosen.question_only is not None and chosen.question_only.answer("what is it?", "") == "red"
    same = choose_data(run_on(source), source, (), None)
    assert (same.source, same.training_data) == (source, f"{source}:train")


def test_training_data_that_cannot_be_read_costs_the_baseline_only(tmp_path: Path) -> None:
    other = make_source(tmp_path / "other", {"train": ["green"], "test": ["black"]})
    missing = str(tmp_path / "missing")
    chosen = choose_data(run_on(missing), other, (), None)
    assert (chosen.question_only, chosen.training_data, len(chosen.rows)) == (None, "", 10)
    assert chosen.problems.summary() == [("training data of the question-only baseline", f"1 ({missing})")]
    with pytest.raises(LooptopError, match="there is no data"):
        choose_data(run_on(missing), None, (), None)


def test_a_model_from_elsewhere_has_the_training_split_of_the_questions_source(source: str, tmp_path: Path) -> None:
    chosen = choose_data(str(tmp_path), f"{source}:test", (), None)
    assert chosen.training_data == f"{source}:train"
    table = choose_data(str(tmp_path), str(Path(source) / "test.csv"), (), None)
    assert (table.split, table.training_data, table.question_only, len(table.rows)) == ("", "", None, 10)
