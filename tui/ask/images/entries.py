"""The images of the list with the questions that are asked about them, as the engine's records."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from looptop.tui.ask.sources.rows import ImageRow
from looptop.tui.background import in_thread

if TYPE_CHECKING:
    from looptop.engine.vqa.images.entries import AskedQuestion, ImageEntry
    from looptop.tui.ask.images.panel import ImagePanel
    from looptop.tui.ask.sources.base import ListedQuestion

ROWS_AT_ONCE = 2000
"""Rows that are read before keys are heard again."""


async def listed_images(panel: ImagePanel) -> list[ImageEntry]:
    """All images of the list as it is filtered, in its order; of a tree those in open folders."""
    from looptop.engine.vqa.images.entries import ImageEntry

    await in_thread(panel.benchmark.load)
    rows, entries, index = panel.rows, list[ImageEntry](), 0
    while index < len(rows):
        row = rows.row(index)
        if isinstance(row, ImageRow):
            entries.append(ImageEntry(row.path, questions=asked_questions(panel.asked(row.path))))
        index += 1
        if index % ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return entries


def asked_questions(asked: Iterable[ListedQuestion]) -> tuple[AskedQuestion, ...]:
    """The questions that a list asks about an image, each with all answers of the data."""
    from looptop.engine.vqa.images.entries import AskedQuestion

    return tuple(
        each if isinstance(each, AskedQuestion) else AskedQuestion(each.question, (each.answer,)) for each in asked
    )
