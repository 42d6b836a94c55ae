"""Choosing an image on the Ask screen: every list, its filter, the gallery."""

from __future__ import annotations

from pathlib import Path

from looptop.engine.vqa.image_sources import AskedQuestion, ImageEntry
from looptop.tui.app import LooptopApp
from tests.factories.quick_answers import QuickAnswers
from tests.tui.conftest import shown, until

SIZE = (120, 40)


async def test_another_screen_gives_the_images_of_the_list(answers: QuickAnswers, picture: Path) -> None:
    second = picture.with_name("second.png")
    second.write_bytes(picture.read_bytes())
    asked = AskedQuestion("how many dogs?", ("2", "3", "2"), "how many", "number")
    app = LooptopApp(make_process=lambda: answers)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: app.current_mode == "train")
        app.show_images("wrong: [b]dogs", [ImageEntry(picture, "validation", (asked,)), ImageEntry(second)])
        await until(pilot, lambda: "wrong: [b]dogs" in shown(app) and "my picture.png · the image" in shown(app))
        assert "· how many dogs?" in shown(app)
        await pilot.press("enter", "down", "enter")
        await until(pilot, lambda: "benchmark: 2" in shown(app))
        assert answers.asked[-1].image == str(picture)
        await pilot.press("escape", "i", "down")
        await until(pilot, lambda: "second.png · the image" in shown(app))
