"""What the tests of the Ask screen share: a question asked, and one question asked about all images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.widgets import Input

from looptop.engine.helpers.answers import AskReply
from looptop.engine.vqa.answers.records import Answer
from looptop.engine.vqa.images.entries import ImageEntry
from looptop.tui.app import LooptopApp
from looptop.tui.ask.many.page import ManyPage
from tests.factories.quick_answers import QuickAnswers
from tests.tui.conftest import shown, until


async def until_shown(pilot: Any, words: str) -> None:
    """Lets the app go on until these words stand on the screen."""
    await until(pilot, lambda: words in shown(pilot.app))


async def ask(pilot: Any, question: str) -> None:
    field = pilot.app.screen.query_one("#question", Input)
    field.focus()
    field.value = question
    await pilot.press("enter")


async def open_many(pilot: Any, app: LooptopApp, images: Sequence[ImageEntry], question: str = "What colour") -> None:
    """Makes the images the list, and begins a table."""
    app.show_images("my images", images)
    await until(pilot, lambda: "0-red.png · the image" in shown(app))
    await pilot.press("A")
    await until(pilot, lambda: app.screen.query("#many-question"))
    app.screen.query_one("#many-question", Input).value = question
    await pilot.pause()
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, ManyPage))


def column(app: LooptopApp, at: str) -> list[str]:
    """The image names on display, in order."""
    return [word for line in shown(app).splitlines() for word in line.split() if word.endswith(at)]


def reply_with(answers: QuickAnswers, answer: Answer) -> None:
    """Sets the answer to every question from now on."""
    answers.answer = lambda request: AskReply(id=request.id, answer=answer)
