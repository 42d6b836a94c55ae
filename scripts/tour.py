"""Makes `screenshots/tour.gif` from the running app: ask, train, and PPO down to a token.

A part of `make screenshots`: `python -m scripts.screenshots tour`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from scripts import screenshots
from scripts.portable_svg import portable

FILE = screenshots.FOLDER / "tour.gif"
SIZE = (110, 34)
WIDTH = 880
"""Pixels."""
COLOURS = 200
LARGEST = 2_000_000
"""Bytes; a README is also read over slow connections."""

QUESTION = "what shape is in the image?"


class Film:
    """The frames of a tour, each with its duration."""

    def __init__(self) -> None:
        self.frames: list[Image.Image] = []
        self.milliseconds: list[int] = []

    def shoot(self, app: Any, seconds: float) -> None:
        """Adds the present screen as a frame."""
        import cairosvg  # needs the system's cairo; the tests of what is drawn do not

        svg = portable(app.export_screenshot(title="looptop"))
        png = cairosvg.svg2png(bytestring=svg.encode(), output_width=WIDTH)
        self.frames.append(Image.open(io.BytesIO(png)).convert("RGB"))
        self.milliseconds.append(round(1000 * seconds))

    async def press(self, pilot: Any, keys: Sequence[str], seconds: float, seen: str = "") -> None:
        """Presses keys, waits until the screen shows some text, and adds the screen as a frame."""
        await pilot.press(*keys)
        if seen:
            await screenshots.until(pilot, seen)
        await pilot.pause(0.5)
        self.shoot(pilot.app, seconds)

    def write(self, path: Path) -> None:
        """Writes the film; all frames share one palette, so that only changes are stored.

        Raises:
            SystemExit: The file is larger than `LARGEST`.
        """
        height = max(frame.height for frame in self.frames)
        sheet = Image.new("RGB", (WIDTH, height * len(self.frames)))
        for number, frame in enumerate(self.frames):
            sheet.paste(frame, (0, number * height))
        palette = sheet.quantize(COLOURS, dither=Image.Dither.NONE)
        first, *rest = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in self.frames]
        first.save(path, save_all=True, append_images=rest, duration=self.milliseconds, loop=0, optimize=True)
        if path.stat().st_size > LARGEST:
            raise SystemExit(f"{path.name} has {path.stat().st_size:,} bytes, more than {LARGEST:,}")


async def tour(ppo_run: str, batch: int) -> None:
    """Goes through the app and writes the film.

    Args:
        ppo_run: The id of a PPO run that has ended. A VQA run trains meanwhile.
        batch: The batch to open.
    """
    from looptop.engine.runs.folder import RunFolder
    from looptop.tui.app import LooptopApp

    film, app = Film(), LooptopApp()
    async with app.run_test(size=SIZE) as pilot:
        await screenshots.until(pilot, "images")
        await film.press(pilot, ("escape", "i", "home"), 1.0)
        await film.press(pilot, (*["down"] * 7, "enter"), 1.0)
        for start in range(0, len(QUESTION), 5):
            letters = QUESTION[start : start + 5]
            await film.press(pilot, [{" ": "space", "?": "question_mark"}.get(char, char) for char in letters], 0.15)
        await film.press(pilot, ("enter",), 3.0, seen="Earlier questions · 1 ")

        await pilot.press("alt+2")
        await screenshots.until(pilot, "┤")
        for _ in range(8):
            await pilot.pause(2)
            film.shoot(app, 0.6)

        await pilot.press("alt+3")
        await screenshots.until(pilot, "PPO")
        app.screen.attach(RunFolder.find(ppo_run))  # type: ignore[attr-defined]
        await screenshots.until(pilot, ppo_run)
        await pilot.pause(2)
        film.shoot(app, 2.0)
        await film.press(pilot, (*str(batch), "enter"), 2.5, seen=str(batch))
        await film.press(pilot, ("enter",), 2.5)
        await film.press(pilot, ("enter",), 3.0, seen="= reward")
        await film.press(pilot, ("enter",), 1.0, seen=" in all")
        for _ in range(6):
            await film.press(pilot, ("right",), 0.5)
        film.milliseconds[-1] = 3000
        screenshots.check("ppo-tokens", screenshots.text_of(app))
    film.write(FILE)
    print(FILE.name, flush=True)
