"""Thumbnails, decoded in a few threads: what was asked for last comes first, what is no longer visible not at all."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible
from looptop.tui.background import for_threads
from looptop.tui.widgets.picture import half_blocks

MAX_THREADS = 4
MAX_KEPT_CELLS = 200_000
"""The most cells of thumbnails that are kept: about 1,500 of a gallery's."""

REDRAW_SECONDS = 0.05
"""Thumbnails that are ready within this time are drawn together."""

DECODED_PIXELS_PER_PIXEL = 2
"""How many times larger an image is decoded than it is drawn, so that each drawn pixel is the mean of several."""


class Wanted(NamedTuple):
    """An image, and the size of its thumbnail in cells."""

    path: Path
    width: int
    height: int
    fills: bool = False
    """Whether the image is cut at its sides so that it fills the cells; otherwise it is fitted into them."""


class Thumbnail(NamedTuple):
    """A thumbnail as large as its image's proportions allow, or what is wrong with the image."""

    lines: tuple[Strip, ...] = ()
    problem: str = ""

    def line_in(self, line: int, width: int, height: int, base: Style) -> list[Segment]:
        """A line of the thumbnail in the middle of `width` by `height` cells."""
        above = (height - len(self.lines)) // 2
        if not above <= line < above + len(self.lines):
            return [Segment(" " * width, base)]
        strip = self.lines[line - above]
        left = (width - strip.cell_length) // 2
        return [Segment(" " * left, base), *strip, Segment(" " * (width - strip.cell_length - left), base)]


class Thumbnails:
    """Makes thumbnails and keeps the ones used last. Its methods are called in the app's thread.

    Args:
        on_ready: Called in the app's thread when wanted thumbnails are ready, with their images.
    """

    def __init__(self, on_ready: Callable[[set[Path]], None]) -> None:
        self._on_ready = on_ready
        self._kept: OrderedDict[Wanted, Thumbnail] = OrderedDict()
        self._cells = 0
        self._fresh: set[Path] = set()
        self._changed = threading.Condition()
        """Guards what the threads share: the next three."""
        self._waiting: list[Wanted] = []
        """The next one is the last."""
        self._decoding: set[Wanted] = set()
        self._closed = False
        self._threads = 0

    def get(self, wanted: Wanted) -> Thumbnail | None:
        """A thumbnail; None if it is not made yet."""
        if (kept := self._kept.get(wanted)) is not None:
            self._kept.move_to_end(wanted)
        return kept

    def request(self, visible: Sequence[Wanted]) -> None:
        """Says which thumbnails are visible now: those that are missing are made, in this order, and no others."""
        missing = [wanted for wanted in dict.fromkeys(visible) if wanted not in self._kept]
        with self._changed:
            self._waiting = [wanted for wanted in reversed(missing) if wanted not in self._decoding]
            self._changed.notify_all()
        if missing and not self._threads:
            self._threads = max(2, min(MAX_THREADS, os.cpu_count() or 1))
            keep = for_threads(self._keep)
            for _ in range(self._threads):
                threading.Thread(target=self._work, args=(keep,), name="looptop-thumbnails", daemon=True).start()

    def close(self) -> None:
        """Ends the threads."""
        with self._changed:
            self._closed, self._waiting = True, []
            self._changed.notify_all()

    def _work(self, keep: Callable[[Wanted, Thumbnail], None]) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    return
                wanted = self._waiting.pop()
                self._decoding.add(wanted)
            keep(wanted, _make(wanted))

    def _keep(self, wanted: Wanted, made: Thumbnail) -> None:
        with self._changed:
            self._decoding.discard(wanted)
        self._kept[wanted] = made
        self._cells += wanted.width * wanted.height
        while self._cells > MAX_KEPT_CELLS and len(self._kept) > 1:
            oldest, _ = self._kept.popitem(last=False)
            self._cells -= oldest.width * oldest.height
        if not self._fresh:
            asyncio.get_running_loop().call_later(REDRAW_SECONDS, self._report)
        self._fresh.add(wanted.path)

    def _report(self) -> None:
        fresh, self._fresh = self._fresh, set()
        if not self._closed:
            self._on_ready(fresh)


def _make(wanted: Wanted) -> Thumbnail:
    """Draws an image in half blocks."""
    from PIL import ImageOps
    from PIL.Image import Resampling

    from looptop.engine.vqa.images.decode import thumbnail

    width, height = wanted.width, 2 * wanted.height
    try:
        image = thumbnail(wanted.path, (DECODED_PIXELS_PER_PIXEL * width, DECODED_PIXELS_PER_PIXEL * height))
        if wanted.fills:
            image = ImageOps.fit(image, (width, height), Resampling.BOX)
        else:
            scale = min(width / image.width, height / image.height)
            size = max(1, round(image.width * scale)), max(2, 2 * round(image.height * scale / 2))
            image = image.resize(size, Resampling.BOX)
        shown = half_blocks(image)._segments
    except LooptopError as error:
        return Thumbnail(problem=str(error).replace(visible(wanted.path), visible(wanted.path.name)))
    except Exception as error:  # A thread that ended would leave all others without thumbnails.
        return Thumbnail(problem=f"this image cannot be drawn ({type(error).__name__})")
    lines = Segment.split_lines(shown.segments) if shown is not None else ()
    return Thumbnail(tuple(Strip(line) for line in lines)[: wanted.height])
