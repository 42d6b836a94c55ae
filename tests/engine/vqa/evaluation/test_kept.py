"""Evaluations are kept by the content of the model's files, and read without the model."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from looptop.engine.errors import LooptopError
from looptop.engine.files.replacing import remove_oldest
from looptop.engine.vqa.evaluation import kept, weights
from tests.factories.evaluations import evaluation, result


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text("{}")
    return folder


def test_an_evaluation_is_read_again_with_its_questions(model: Path, home: Path) -> None:
    results = [result(0), result(1, "blue")]
    one = evaluation(results, weights=weights.digest_of(model))
    assert kept.keep(one, results) == ""
    assert kept.latest(model) == one
    assert kept.questions_of(one) == results
    for path in (home / "evaluations").rglob("*.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_copy_of_the_model_has_the_figures_and_a_retrained_one_has_not(model: Path, tmp_path: Path) -> None:
    one = evaluation([result()], weights=weights.digest_of(model))
    kept.keep(one, [result()])
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in model.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "optimizer.pt").write_bytes(b"of no importance")
    assert kept.latest(copy) == one
    (copy / "model.safetensors").write_bytes(b"trained")
    assert kept.latest(copy) is None


def test_the_newest_whole_evaluation_counts_and_each_data_has_its_own(model: Path) -> None:
    digest = weights.digest_of(model)
    whole = evaluation([result()], weights=digest, when=10.0)
    part = evaluation([result()], weights=digest, when=20.0, limit=5)
    other = evaluation([result()], weights=digest, when=5.0, split="validation")
    again = evaluation([result()], weights=digest, when=30.0, split="validation", id="two")
    for one in (whole, part, other):
        kept.keep(one, [result()])
    assert kept.latest(model) == whole
    kept.keep(again, [result()])
    assert kept.evaluations_of(model) == [again, part, whole]
    assert kept.latest(model) == again


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"format": 1}',
        b"\xff\xfe",
        b'{"format": 99, "id": "", "questions": []}',
        b'{"id": "\xff"}',
        b"[" * 9999,
    ],
)
def test_damaged_files_end_in_a_sentence_and_not_in_other_questions(model: Path, content: bytes) -> None:
    one = evaluation([result()], weights=weights.digest_of(model))
    kept.keep(one, [result()])
    folder = Path(os.environ["LOOPTOP_HOME"]) / "evaluations" / one.weights
    [questions] = folder.glob("*.questions.json")
    questions.write_bytes(content)
    with pytest.raises(LooptopError, match=r"evaluate again with `looptop eval bundled --data easy-vqa:test`"):
        kept.questions_of(one)
    [summary] = (file for file in folder.glob("*.json") if file != questions)
    summary.write_bytes(content)
    assert kept.evaluations_of(model) == []


def test_questions_of_another_evaluation_are_refused(model: Path) -> None:
    digest = weights.digest_of(model)
    one = evaluation([result()], weights=digest)
    kept.keep(one, [result()])
    kept.keep(evaluation([result()], weights=digest, id="two"), [result(1)])
    with pytest.raises(LooptopError, match="replaced by those of a newer one"):
        kept.questions_of(one)


def test_a_home_that_cannot_be_written_is_named(model: Path, home: Path) -> None:
    digest = weights.digest_of(model)
    (home / "evaluations" / "digests.json").unlink()
    (home / "evaluations").rmdir()
    (home / "evaluations").write_text("in the way")
    assert "could not be kept" in kept.keep(evaluation([result()], weights=digest), [result()])
    assert weights.digest_of(model) == digest


def test_a_path_that_is_not_text_is_kept(model: Path) -> None:
    one = evaluation(weights=weights.digest_of(model))
    assert kept.keep(one, [result(image="/images/\udcff.png")]) == ""
    assert kept.questions_of(one)[0].image == "/images/?.png"


def test_a_model_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LooptopError, match="holds no weights"):
        weights.digest_of(tmp_path)
    assert kept.evaluations_of(tmp_path) == []


def test_a_digest_is_read_from_the_home_while_the_files_are_the_same(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = weights.digest_of(model)
    with monkeypatch.context() as patch:
        patch.setattr(weights, "_hash", lambda *_: pytest.fail("the weights were read again"))
        assert weights.digest_of(model) == digest
    (model / "model.safetensors").write_bytes(b"others")
    assert weights.digest_of(model) != digest


def test_the_files_used_longest_ago_go_first(tmp_path: Path) -> None:
    for number in range(4):
        file = tmp_path / f"{number}"
        file.write_bytes(bytes(10))
        os.utime(file, (number, number))
    remove_oldest(tmp_path, 25)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["2", "3"]
