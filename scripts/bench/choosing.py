"""Choosing among many images on the Ask screen: how soon a folder is open, a key moves, and thumbnails are drawn.

The real program on a pseudo-terminal of 120 by 40 and, for the gallery, 200 by 60. The photos are 50 files of 640 by
480 pixels of noise and colour, about 160 KB each, under 10,000 names.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from PIL import Image

from scripts.bench.keys import press, settle, spread
from tests.terminal.tty import PROGRAM, Tty

DOWN, PAGE_DOWN, END, HOME = "\x1b[B", "\x1b[6~", "\x1b[F", "\x1b[H"
SHOWN, LARGE = 10_000, 200_000
PHOTOS = 50
OPENINGS, GALLERIES, PAGES, KEYS = 5, 3, 10, 100
MODEL_SECONDS = 120.0
QUIET = 0.5
MAX_LINKS = 30_000
"""Names of one file; a file system allows 65,000."""
WAITING = re.compile("  ·  ")
"""What a tile shows until its thumbnail is drawn."""


def photo(number: int) -> Image.Image:
    """A picture that a JPEG takes as many bytes for as for a photo of its size."""
    noise = Image.effect_noise((640, 480), 60).convert("RGB")
    color = tuple(random.Random(number).randrange(256) for _ in range(3))
    return Image.composite(noise, Image.new("RGB", (640, 480), color), Image.linear_gradient("L").resize((640, 480)))


def make_photos(folder: Path) -> None:
    """Writes the photos, and links the other names to them."""
    for number in range(SHOWN):
        path = folder / f"img_{number}.jpg"
        if number < PHOTOS:
            photo(number).save(path, quality=90)
        else:
            path.hardlink_to(folder / f"img_{number % PHOTOS}.jpg")


def make_many(folder: Path) -> None:
    """Writes small images, most of them links to others."""
    for number in range(LARGE):
        path = folder / f"img_{number}.png"
        if number % MAX_LINKS == 0:
            Image.new("RGB", (8, 8), "orange").save(path)
        else:
            path.hardlink_to(folder / f"img_{number // MAX_LINKS * MAX_LINKS}.png")


@contextlib.contextmanager
def opened(folder: Path, columns: int = 120, rows: int = 40) -> Iterator[Tty]:
    """The program on Ask, started in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        with Tty(PROGRAM, columns, rows) as tty:
            tty.until("ready", MODEL_SECONDS)  # Until then the model's start takes part of the processor.
            yield tty
    finally:
        os.chdir(before)


def seconds_until(tty: Tty, key: str, pattern: str) -> float:
    """Seconds from a key until the screen shows the pattern."""
    began = time.perf_counter()
    tty.send(key)
    while not re.search(pattern, tty.text()):
        tty.pump(0.005)
    return time.perf_counter() - began


def opening(folder: Path, count: int) -> str:
    """How long it takes to open a folder, as text."""
    took, used = [], []
    for _ in range(OPENINGS):
        with opened(folder) as tty:
            before = cpu_seconds(tty)
            took.append(seconds_until(tty, "f", f"{count:,} images"))
            used.append(cpu_seconds(tty) - before)
    return f"{statistics.median(took):.2f} s, at most {max(took):.2f} s; CPU time {statistics.median(used):.2f} s"


def cpu_seconds(tty: Tty) -> float:
    """The processor's time that the app has used, without its answering process."""
    times = psutil.Process(tty.pid).cpu_times()
    return float(times.user + times.system)


def moving(folder: Path, count: int) -> str:
    """How soon the screen changes after a key in the list, as text."""
    with opened(folder) as tty:
        seconds_until(tty, "f", f"{count:,} images")
        settle(tty)
        keys = (*[DOWN] * 4, *[PAGE_DOWN] * 4, END, HOME)
        return spread([press(tty, key) for _ in range(KEYS // len(keys)) for key in keys])


def screenfuls(folder: Path) -> tuple[str, int]:
    """How long it takes from a key until each visible thumbnail is drawn, as text; and how many are visible."""
    first, took, used, tiles = [], [], [], 0
    for _ in range(GALLERIES):
        with opened(folder, 200, 60) as tty:
            seconds_until(tty, "f", f"{SHOWN:,} images")
            settle(tty)
            first.append(seconds_to_quiet(tty, "p"))
            tiles = len(re.findall(r"img_\d+\.jpg", tty.text())) - 1  # The last line repeats the first name.
            seconds_to_quiet(tty, PAGE_DOWN)  # This one only scrolls as far as the cursor, by a line.
            before = cpu_seconds(tty)
            for _ in range(PAGES):
                took.append(seconds_to_quiet(tty, PAGE_DOWN))
                assert not WAITING.search(tty.text()), tty.text()
            used.append((cpu_seconds(tty) - before) / PAGES)
    pages = f"{spread(took)} pages, CPU time {1e3 * statistics.median(used):.0f} ms a page"
    return f"{1e3 * statistics.median(first):.0f} ms from the list, {pages}", tiles


def seconds_to_quiet(tty: Tty, key: str) -> float:
    """Seconds from a key until the program has written the last byte. The screen is read afterwards: it takes long."""
    data = bytearray()
    began = last = time.perf_counter()
    tty.send(key)
    while time.perf_counter() - last < QUIET:
        if came := tty.read(0.01):
            data += came
            last = time.perf_counter()
    tty.feed(bytes(data))
    return last - began


def main() -> None:
    """Prints every figure."""
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as photos:
        os.environ["LOOPTOP_HOME"] = home
        make_photos(Path(photos))
        print(f"choosing: a folder of {SHOWN:,} images is open after {opening(Path(photos), SHOWN)}")
        print(f"choosing: a key in it changes the screen after {moving(Path(photos), SHOWN)} keys")
        text, tiles = screenfuls(Path(photos))
        print(f"choosing: {tiles} thumbnails are drawn after {text} (goal: at most 300 ms)")
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as many:
        os.environ["LOOPTOP_HOME"] = home
        make_many(Path(many))
        print(f"choosing: a folder of {LARGE:,} images is open after {opening(Path(many), LARGE)} (goal: under 2 s)")
        print(f"choosing: a key in it changes the screen after {moving(Path(many), LARGE)} keys")


if __name__ == "__main__":
    main()
