"""Only a complete checkpoint counts; incomplete ones are skipped with an event, and are kept."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest

from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Journal, JournalWriter
from looptop.engine.runs import checkpoint


def make(folder: Path, step: int, *, sealed: bool = True) -> Path:
    path = folder / f"checkpoint-{step}"
    (path / "question_tokenizer").mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"w" * 5000)
    (path / "question_tokenizer" / "vocab.txt").write_text("a\nb\n")
    if sealed:
        checkpoint.seal(path)
    return path


def test_a_sealed_checkpoint_is_complete_and_lists_its_files(tmp_path: Path) -> None:
    path = make(tmp_path, 10)
    assert checkpoint.is_complete(path)
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest == {
        "files": {"model.safetensors": 5000, "question_tokenizer/vocab.txt": 4},
        "checksums": {
            "model.safetensors": zlib.crc32(b"w" * 5000),
            "question_tokenizer/vocab.txt": zlib.crc32(b"a\nb\n"),
        },
    }
    assert {file.stat().st_mode & 0o777 for file in path.rglob("*") if file.is_file()} == {0o600}
    assert checkpoint.step_of(path) == 10


def test_a_checkpoint_whose_replaceable_file_is_replaced_stays_complete(tmp_path: Path) -> None:
    path = make(tmp_path, 10, sealed=False)
    (path / "confidence.json").write_text("{}")
    checkpoint.seal(path, {"confidence.json"})
    (path / "confidence.json").write_text("something longer")
    assert checkpoint.is_complete(path, reads=True)
    (path / "confidence.json").unlink()
    assert checkpoint.is_complete(path, reads=True)


@pytest.mark.parametrize("harm", ["no manifest", "short file", "missing file", "broken manifest", "empty manifest"])
def test_a_checkpoint_with_missing_parts_is_incomplete(tmp_path: Path, harm: str) -> None:
    path = make(tmp_path, 10)
    if harm == "no manifest":
        (path / "manifest.json").unlink()
    elif harm == "short file":
        (path / "model.safetensors").write_bytes(b"w" * 4999)
    elif harm == "missing file":
        (path / "question_tokenizer" / "vocab.txt").unlink()
    elif harm == "broken manifest":
        (path / "manifest.json").write_bytes(b'{"files": {"model.saf\xff')
    else:
        (path / "manifest.json").write_text("{}")
    assert not checkpoint.is_complete(path)


@pytest.mark.parametrize("name", ["model.safetensors", "question_tokenizer/vocab.txt"])
def test_a_checkpoint_with_a_damaged_file_of_the_same_size_is_skipped(tmp_path: Path, name: str) -> None:
    older, newer = make(tmp_path, 10), make(tmp_path, 20)
    assert checkpoint.newest_complete(tmp_path) == newer
    data = bytearray((newer / name).read_bytes())
    data[-1] ^= 1
    (newer / name).write_bytes(data)
    assert checkpoint.newest_complete(tmp_path) == older


def test_a_broken_link_is_moved_aside_for_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint-20"
    for number in (1, 2):
        path.symlink_to(tmp_path / "nowhere")
        checkpoint.begin(path)
        assert not path.is_symlink()
        assert [left.name for left in tmp_path.iterdir()] == [f"broken-checkpoint-20-{number}"] or number == 2
    assert len(list(tmp_path.iterdir())) == 1, "only the last one that was moved aside is kept"


def test_a_checkpoint_of_an_older_version_needs_no_checksums(tmp_path: Path) -> None:
    path = make(tmp_path, 10)
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["checksums"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    assert checkpoint.newest_complete(tmp_path) == path


def test_the_newest_complete_checkpoint_is_chosen_and_incomplete_ones_are_named(tmp_path: Path) -> None:
    for step in (5, 100, 20):
        make(tmp_path, step)
    make(tmp_path, 300, sealed=False)
    (make(tmp_path, 200) / "model.safetensors").unlink()
    (tmp_path / "checkpoint-x").mkdir()
    writer = JournalWriter(tmp_path / "run.db")
    assert checkpoint.newest_complete(tmp_path, writer) == tmp_path / "checkpoint-100"
    writer.close()
    texts = [event.text for event in Journal(writer.path).events()]
    assert texts == [
        "checkpoint-300 is incomplete and was skipped",
        "checkpoint-200 is incomplete and was skipped",
    ]
    assert (tmp_path / "checkpoint-300").is_dir()
    assert checkpoint.newest_complete(tmp_path / "nowhere") is None


def test_the_last_two_and_the_best_are_kept_and_incomplete_ones_are_never_deleted(tmp_path: Path) -> None:
    for step in (10, 20, 30, 40, 50):
        make(tmp_path, step)
    make(tmp_path, 45, sealed=False)
    gone = checkpoint.rotate(tmp_path, best=20)
    assert sorted(path.name for path in gone) == ["checkpoint-10", "checkpoint-30"]
    assert list(checkpoint.steps(tmp_path)) == [50, 45, 40, 20]
    assert not list(tmp_path.glob(".deleting-*"))


def test_an_interrupted_deletion_is_finished_the_next_time(tmp_path: Path) -> None:
    make(tmp_path, 10).rename(tmp_path / ".deleting-checkpoint-10")
    assert checkpoint.newest_complete(tmp_path) is None
    checkpoint.rotate(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_is_written_again_is_incomplete_until_it_is_sealed(tmp_path: Path) -> None:
    path = make(tmp_path, 10)
    checkpoint.begin(path)
    assert not checkpoint.is_complete(path)
    checkpoint.seal(path)
    assert checkpoint.is_complete(path)


def test_an_incomplete_checkpoint_in_the_way_is_moved_aside_with_an_event(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "run.db")
    for number in (1, 2):
        path = make(tmp_path, 10, sealed=False)
        checkpoint.begin(path, writer)
        assert not path.exists()
        assert (tmp_path / f"broken-checkpoint-10-{number}" / "model.safetensors").exists()
        assert len(list(tmp_path.glob("broken-*"))) == 1
    checkpoint.begin(tmp_path / "checkpoint-11", writer)
    writer.close()
    assert len(Journal(writer.path).events()) == 2


def test_only_the_last_checkpoint_that_was_moved_aside_is_kept(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "run.db")
    for step in (10, 10, 10, 12, 15):
        checkpoint.begin(make(tmp_path, step, sealed=False), writer)
    writer.close()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["broken-checkpoint-15-1"]
    last = Journal(writer.path).events()[-1].text
    assert "the older broken-checkpoint-12-1 is deleted" in last


@pytest.mark.parametrize(
    "manifest",
    [
        b'{"files": {}}',
        b'{"files": {"model\\u0000.safetensors": 1}}',
        b'{"files": {"%s": 1}}' % (b"a" * 5000),
        b'{"files": {"model.safetensors": %s}}' % (b"9" * 6000),
        b'{"files": ' * 20_000,
        b'{"files": {"model\xff": 1}}',
        b'{"files": {"model.safetensors": "1"}}',
        b"[]",
        b"",
    ],
)
def test_a_checkpoint_with_a_damaged_or_empty_manifest_is_incomplete(tmp_path: Path, manifest: bytes) -> None:
    whole, damaged = make(tmp_path, 10), make(tmp_path, 20)
    (damaged / checkpoint.MANIFEST).write_bytes(manifest)
    assert not checkpoint.is_complete(damaged)
    assert checkpoint.newest_complete(tmp_path) == whole


def test_a_full_disk_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    checkpoint.ensure_space(tmp_path / "not" / "there" / "yet", 1000)
    with pytest.raises(LooptopError, match="MiB free and a checkpoint needs"):
        checkpoint.ensure_space(tmp_path, 2**60)
