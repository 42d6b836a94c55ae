"""A file is replaced at once; drafts that killed processes left beside it are removed, those of living ones never."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from looptop.engine.files import replacing
from looptop.engine.files.replacing import remove_old_drafts, replace_private, replace_private_with

OLD = replacing.OLD_DRAFT_SECONDS + 60


def leave_draft(file: Path, age: float = OLD) -> Path:
    """The draft of a process that was killed this many seconds ago."""
    draft = file.with_name(f"{file.name}.0123abcd.draft")
    draft.write_bytes(b"half")
    os.utime(draft, (time.time() - age,) * 2)
    return draft


def test_the_old_draft_of_a_file_is_removed_when_it_is_replaced_next(tmp_path: Path) -> None:
    draft, other = leave_draft(tmp_path / "state.json"), leave_draft(tmp_path / "other.json")
    replace_private(tmp_path / "state.json", b"whole")
    assert (tmp_path / "state.json").read_bytes() == b"whole"
    assert not draft.exists()
    assert other.exists(), "only of the file that is replaced"


@pytest.mark.parametrize("name", ["state.json", "state.json.draft", "state.json.0123abcd.draft.txt", "0123abcd.draft"])
def test_what_is_no_draft_stays(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"")
    os.utime(file, (0, 0))
    remove_old_drafts(tmp_path)
    assert file.exists()


def test_a_draft_that_changed_lately_stays(tmp_path: Path) -> None:
    draft = leave_draft(tmp_path / "state.json", age=replacing.OLD_DRAFT_SECONDS - 60)
    replace_private(tmp_path / "state.json", b"whole")
    assert draft.exists()


def test_a_draft_that_is_being_written_stays(tmp_path: Path) -> None:
    def write(draft: Path) -> None:
        draft.write_bytes(b"slow")
        os.utime(draft, (0, 0))
        replace_private(tmp_path / "state.json", b"quick")
        assert draft.exists()

    replace_private_with(tmp_path / "state.json", write)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("state.json", b"slow")]


def test_links_and_folders_stay_and_no_link_is_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"")
    link, folder = tmp_path / "a.0123abcd.draft", tmp_path / "b.0123abcd.draft"
    link.symlink_to(target)
    folder.mkdir()
    os.utime(link, (0, 0), follow_symlinks=False)
    os.utime(folder, (0, 0))
    remove_old_drafts(tmp_path)
    assert link.is_symlink() and folder.is_dir() and target.exists()
