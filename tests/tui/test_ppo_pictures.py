"""What the PPO screen's pages look like at three sizes, letter by letter.

Where a page is meant to look different, `UPDATE_PICTURES=1 pytest tests/tui/test_ppo_pictures.py` draws them anew; look
at the change before you keep it.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from looptop.tui.ppo.before_after_page import BeforeAfterPage
from looptop.tui.ppo.charts import charts_of
from looptop.tui.ppo.snapshot import PpoWatcher
from tests.factories.apps import make_app
from tests.factories.quick_answers import QuickAnswers
from tests.factories.synthetic_ppo import Maker, make_comparison, make_run
from tests.tui.conftest import shown, until
from tests.tui.ppo_helpers import complete, crumbs, go

LEFT_ON = "ppo"

FOLDER = Path(__file__).parent / "pictures"
LIMIT = 10.0
SIZES = ((80, 24), (120, 40), (200, 60))


@pytest.mark.parametrize("size", SIZES)
async def test_the_pages_look_as_they_should(answers: QuickAnswers, size: tuple[int, int]) -> None:
    run = make_run(Maker(60, 16))
    make_comparison(run, 40)
    app = make_app(answers)
    wrong = []
    async with app.run_test(size=size) as pilot:
        screen = await go(pilot, run)
        # Not 4 first: on a machine that does much else it may stay alone for so long that it is the screen's key.
        await pilot.press("0", "4", "0", "enter")
        await until(pilot, lambda: screen.navigation.chosen_step == 40 and complete(app))
        wrong += await compare(pilot, "run", size)
        await pilot.press("z")
        await until(pilot, lambda: "┤" in shown(app) and "held out" in shown(app))
        wrong += await compare(pilot, "enlarged", size)
        await pilot.press("z", "enter")
        await until(pilot, lambda: "batch 40" in crumbs(app) and "16 of 16 samples" in shown(app))
        wrong += await compare(pilot, "batch", size)
        await pilot.press("enter")
        await until(pilot, lambda: "= reward" in shown(app))
        wrong += await compare(pilot, "sample", size)
        await pilot.press("enter")
        await until(pilot, lambda: " in all" in shown(app))
        wrong += await compare(pilot, "tokens", size)
        await pilot.press("escape", "escape", "escape", "a")
        await until(pilot, lambda: screen.query_one(BeforeAfterPage).result is not None and "40 queries" in shown(app))
        wrong += await compare(pilot, "compare", size)
    assert not wrong, "\n".join([*wrong, "if this is meant, UPDATE_PICTURES=1 draws them anew"])


def test_the_made_up_run_has_every_figure_that_is_drawn() -> None:
    watcher = PpoWatcher(make_run(Maker(60, 4)))
    drawn = {metric for chart in charts_of(watcher.poll()) for metric in chart.metrics}
    assert drawn <= set(watcher.journal.names()), "give `_figures` in tests/factories/synthetic_ppo.py what is missing"


async def compare(pilot: Any, page: str, size: tuple[int, int]) -> list[str]:
    """What is wrong with a page that has had time to be laid out."""
    end = time.monotonic() + LIMIT
    while (wrong := differences(pilot.app, page, size)) and time.monotonic() < end:
        await pilot.pause(0.05)
    return wrong


def differences(app: Any, page: str, size: tuple[int, int]) -> list[str]:
    """The lines of a page that are not as they should be. The lines that all screens share are left out."""
    lines = [re.sub(r"took \d+ s", "took a while", line) for line in shown(app).splitlines()[1:-1]]
    file = FOLDER / f"ppo-{page}-{size[0]}x{size[1]}.txt"
    if os.environ.get("UPDATE_PICTURES"):
        FOLDER.mkdir(exist_ok=True)
        file.write_text("\n".join(lines) + "\n", "utf-8")
        return []
    expected = file.read_text("utf-8").splitlines()
    if lines == expected:
        return []
    differing = [f"  - {before}\n  + {now}" for before, now in zip(expected, lines, strict=False) if before != now] or [
        f"  {len(expected)} lines became {len(lines)}"
    ]
    return [f"{file.name}:", *differing[:12]]
