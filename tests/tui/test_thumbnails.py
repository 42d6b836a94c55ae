"""Thumbnails: what is visible now comes first, what is no longer visible not at all, and few are kept."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from PIL import Image

from looptop.tui.widgets import thumbnails
from looptop.tui.widgets.thumbnails import Thumbnail, Thumbnails, Wanted


def wanted(*names: str) -> list[Wanted]:
    return [Wanted(Path(name), 12, 6) for name in names]


async def settled(made: Thumbnails, *names: str) -> None:
    while any(made.get(each) is None for each in wanted(*names)):
        await asyncio.sleep(0.01)


async def test_what_is_visible_now_comes_first_and_what_is_not_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    go, begun = threading.Event(), list[str]()
    two = threading.Barrier(3)  # both threads, and this test

    def make(each: Wanted) -> Thumbnail:
        begun.append(each.path.name)
        if not go.is_set():
            two.wait(20)
            go.wait(20)
        return Thumbnail()

    monkeypatch.setattr(thumbnails, "_make", make)
    monkeypatch.setattr(thumbnails, "MAX_THREADS", 2)
    ready: set[Path] = set()
    made = Thumbnails(ready.update)
    made.request(wanted("a", "b", "c", "d"))
    await asyncio.to_thread(two.wait, 20)
    assert sorted(begun) == ["a", "b"]
    made.request(wanted("x", "y", "b"))
    go.set()
    await settled(made, "a", "b", "x", "y")
    assert begun[2:] == ["x", "y"]
    assert made.get(wanted("c")[0]) is None
    while ready != {Path(name) for name in "abxy"}:
        await asyncio.sleep(0.01)
    made.request(wanted("a", "z"))  # only what is not known yet is made
    await settled(made, "z")
    made.close()
    assert begun[4:] == ["z"]


async def test_only_the_ones_used_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "_make", lambda _each: Thumbnail())
    monkeypatch.setattr(thumbnails, "MAX_KEPT_CELLS", 3 * 12 * 6)
    made = Thumbnails(lambda _images: None)
    for name in "abc":
        made.request(wanted(name))
        await settled(made, name)
    assert made.get(wanted("a")[0]) is not None  # used again
    made.request(wanted("d"))
    await settled(made, "d")
    made.close()
    assert [made.get(wanted(name)[0]) is not None for name in "abcd"] == [True, False, True, True]


@pytest.mark.parametrize(
    ("size", "fills", "cells"),
    [
        ((60, 20), False, (12, 2)),
        ((20, 60), False, (4, 6)),
        ((60, 20), True, (12, 6)),
        ((1, 500), False, (1, 6)),
    ],
)
def test_an_image_is_fitted_into_its_cells_or_fills_them(
    tmp_path: Path, size: tuple[int, int], fills: bool, cells: tuple[int, int]
) -> None:
    Image.new("RGB", size, "orange").save(tmp_path / "image.png")
    made = thumbnails._make(Wanted(tmp_path / "image.png", 12, 6, fills))
    assert not made.problem
    assert {strip.cell_length for strip in made.lines} == {cells[0]} and len(made.lines) == cells[1]


def test_a_broken_image_has_a_reason_that_names_it_shortly(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"")
    assert thumbnails._make(Wanted(tmp_path / "broken.png", 12, 6)).problem == "the image broken.png is empty (0 bytes)"
