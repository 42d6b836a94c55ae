"""The pictures of README and docs show what their captions promise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from looptop.engine.config import preset
from looptop.engine.journal.reader import JournalWriter
from looptop.engine.journal.records import RunState
from looptop.engine.runs.folder import RunFolder
from looptop.tui.app import LooptopApp
from scripts import screenshots, tour
from tests.factories import histories
from tests.factories.quick_answers import QuickAnswers

ROOT = Path(__file__).parents[2]
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+\.png)\)")
NAME = re.compile(r"([a-z-]+)-\d+x\d+-(?:dark|light)")


async def test_the_charts_are_those_of_the_run_with_twenty_metrics() -> None:
    histories.make(20, 200)
    for _ in range(3):  # made later, so that they stand above it
        writer = JournalWriter(RunFolder.create("vqa", preset("tiny")).db)
        writer.metrics(1, {"loss": 1.0})
        writer.state(RunState.FINISHED)
        writer.close()
    for size in ((80, 24), (200, 60)):
        app = LooptopApp(make_process=QuickAnswers)
        async with app.run_test(size=size) as pilot:
            await screenshots.charts(pilot)
            screenshots.check("charts", screenshots.text_of(app))


def test_a_picture_that_shows_something_else_is_refused() -> None:
    with pytest.raises(SystemExit, match="the picture charts does not show 'trainer-1'"):
        screenshots.check("charts", "vqa-4  layer.0/loss")
    screenshots.check("charts", "trainer-1  20 metrics of 5,000 steps  layer.0/loss")


def test_every_picture_of_readme_and_docs_exists_and_is_checked() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    pictures: dict[str, set[str]] = {}
    for page in pages:
        for caption, file in PICTURE.findall(page.read_text("utf-8")):
            assert (page.parent / file).is_file(), f"{page.name} shows {file}, which is not there"
            name = NAME.fullmatch(Path(file).stem)
            assert name is not None, file
            pictures.setdefault(name[1], set()).add(caption)
    assert set(pictures) == set(screenshots.SEEN)
    for name, captions in pictures.items():  # type: ignore[assignment]
        assert len(captions) == 1, f"{name} has several captions, and its words are those of one: {captions}"


def test_the_tour_is_shown_moves_and_is_small() -> None:
    assert "](screenshots/tour.gif)" in (ROOT / "README.md").read_text("utf-8")
    with Image.open(tour.FILE) as film:
        assert getattr(film, "n_frames", 1) > 15
    assert tour.FILE.stat().st_size < tour.LARGEST
