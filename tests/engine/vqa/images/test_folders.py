"""Folders of images: complete, in natural order, each folder once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from looptop.engine.vqa.images import folders
from looptop.engine.vqa.images.folders import Listing, StoppedError, images_below, natural_order, read_folder

NAMES = some.lists(some.text("imgIMG_019 .é", min_size=1, max_size=6), unique=True, max_size=30)


@given(NAMES)
def test_natural_order_has_every_name_once(names: list[str]) -> None:
    assert sorted(natural_order(names)) == sorted(names)
    assert natural_order(list(reversed(names))) == natural_order(names)


@given(some.text("ab_", max_size=4), some.integers(0, 10**30), some.integers(0, 10**30), some.integers(0, 3))
def test_numbers_in_names_are_ordered_by_their_value(word: str, one: int, other: int, zeros: int) -> None:
    first, second = f"{word}{'0' * zeros}{one}.png", f"{word.upper()}{other}.png"
    if one != other:
        assert (natural_order([second, first])[0] == first) is (one < other)


def test_a_folder_is_whole_and_in_order(tmp_path: Path) -> None:
    for name in ("img_10.png", "IMG_2.JPG", "img_1.png", "notes.txt", ".hidden.png", "photo.heic"):
        (tmp_path / name).touch()
    for name in ("b10", "b9", ".git"):
        (tmp_path / name).mkdir()
    listing = read_folder(tmp_path)
    assert listing == Listing(["b9", "b10"], ["img_1.png", "IMG_2.JPG", "img_10.png", "photo.heic"])


def test_why_a_folder_cannot_be_read(tmp_path: Path) -> None:
    assert read_folder(tmp_path / "gone").problem.lower().startswith("no such file")
    (tmp_path / "file").touch()
    assert "directory" in read_folder(tmp_path / "file").problem.lower()


def test_what_was_read_so_far_is_reported_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "FIRST_REPORT_SECONDS", -1.0)
    monkeypatch.setattr(folders, "ENTRIES_PER_CHECK", 10)
    for number in range(100):
        (tmp_path / f"{number}.png").touch()
    reported: list[Listing] = []
    whole = read_folder(tmp_path, reported.append)
    assert [len(each.images) for each in reported] == sorted(len(each.images) for each in reported)
    assert len(reported) >= 3 and all(each.images == natural_order(each.images) for each in reported)
    assert whole.images == [f"{number}.png" for number in range(100)]


def test_a_reader_stops_when_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "1.png").touch()
    with pytest.raises(StoppedError):
        read_folder(tmp_path, stopped=lambda: True)


def test_each_folder_below_comes_once_by_a_path_without_links(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "real" / "deep", root / ".hidden", elsewhere):
        folder.mkdir(parents=True)
    for image in (root / "1.png", root / "real" / "2.png", root / "real" / "deep" / "3.png", elsewhere / "4.png"):
        image.touch()
    (root / ".hidden" / "5.png").touch()
    (root / "a").symlink_to(root / "real")
    (root / "real" / "loop").symlink_to(root)
    (root / "link").symlink_to(elsewhere)
    (root / "gone").symlink_to(tmp_path / "nowhere")
    below = {each.folder: each.images for each in images_below(root)}
    assert below == {"": ["1.png"], "real": ["2.png"], "real/deep": ["3.png"], "link": ["4.png"]}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "1.png").touch()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    try:
        assert [each.images for each in images_below(tmp_path)] == [["1.png"]]
        assert "ermission" in read_folder(closed).problem
    finally:
        closed.chmod(0o700)
