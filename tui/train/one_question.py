"""One training question: its cells in the table, and under the cursor its image and its text in full."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible, visible_answer
from looptop.tui.background import in_thread, work
from looptop.tui.plots.sparkline import sparkline_of_means
from looptop.tui.text import number, probability, safe
from looptop.tui.widgets.picture import Picture
from looptop.tui.widgets.table import Cell, Column, Row

if TYPE_CHECKING:
    from looptop.engine.vqa.curation.questions import CuratedQuestion

COLUMNS = (
    Column("edited", "", 2, text=True),
    Column("question", "question", 14, least=14, text=True),
    Column("answer", "label", 10, least=10, text=True),
    Column("loss", "loss", 6),
    Column("confidence", "sure", 6),
    Column("variability", "vary", 5),
    Column("epochs", "by epoch", 8, least=8, text=True, from_width=60),
)
"""The keys of all but the last are what the rows can be sorted by."""

IMAGE_SIZE = (512, 512)
"""The largest size at which an image is kept, in pixels."""


class QuestionPanel(Vertical):
    """An image above, words below."""

    def __init__(self) -> None:
        super().__init__(id="question-panel")
        self._picture, self._words = Picture(id="question-picture"), Static(id="question-words")
        self._wanted: Path | None = None
        self._shown: Path | None = None
        self._is_loading = False

    def compose(self) -> Iterable[Widget]:
        """The image and the words."""
        yield self._picture
        yield self._words

    def show_question(self, image: str, words: Content) -> None:
        """Shows a question; its image comes as soon as it is decoded."""
        self._words.update(words)
        self._wanted = Path(image)
        if not self._is_loading and self._wanted != self._shown:
            self._is_loading = True
            work(self, self._load_last(), "image")

    def clear(self) -> None:
        """Shows nothing."""
        self._wanted = self._shown = None
        self._words.update("")
        self._picture.show_sentence("")

    async def _load_last(self) -> None:
        """Decodes in a thread, one image at a time; an image that is not wanted any more by then is not shown."""
        from looptop.engine.vqa.images.decode import thumbnail

        try:
            while (path := self._wanted) is not None and path != self._shown:
                try:
                    image = await in_thread(lambda path=path: thumbnail(path, IMAGE_SIZE))  # type: ignore[misc]
                except LooptopError as error:
                    image = None
                    sentence = str(error)
                if path != self._wanted:
                    continue
                self._shown = path
                if image is not None:
                    self._picture.show(image)
                else:
                    self._picture.show_sentence(sentence, "$text-error")
        finally:
            self._is_loading = False


def question_cells(each: CuratedQuestion, confidences: Sequence[float], epochs_width: int) -> Row:
    """A row.

    Args:
        each: The question.
        confidences: Its confidence in each epoch.
        epochs_width: The cells of the last column.
    """
    return [
        Cell("✗", "bad") if each.is_dropped else Cell("→", "accent") if each.edited_answer is not None else Cell(""),
        Cell(each.question, "out" if each.is_dropped else ""),
        Cell(_label_text(each), "accent" if each.edited_answer is not None else "out" if each.is_dropped else "bold"),
        Cell(_loss_text(each.loss)),
        Cell("-" if math.isnan(each.confidence) else probability(each.confidence).strip()),
        Cell("-" if math.isnan(each.variability) else f"{each.variability:.3f}"),
        Cell(sparkline_of_means(confidences, epochs_width), "primary"),
    ]


def question_details(each: CuratedQuestion, confidences: Sequence[float], width: int) -> Content:
    """The question under the cursor in full, its label and edit, and how its confidence went.

    Args:
        each: The question.
        confidences: Its confidence in each epoch.
        width: The most cells of the line of bars.
    """
    lines = [
        safe(each.question, "bold"),
        Content.assemble(("label  ", "$text-muted"), safe(visible_answer(each.answer), "bold")),
    ]
    if each.edited_answer is not None:
        lines.append(
            Content.assemble(("yours  ", "$text-muted"), safe(visible_answer(each.edited_answer), "$text-accent bold"))
        )
    elif each.is_dropped:
        lines.append(Content.styled("✗ left out of training", "$text-error"))
    if math.isnan(each.loss):
        lines.append(Content.styled("no epoch has trained on it yet", "$text-muted"))
    else:
        lines.append(Content.styled(sparkline_of_means(confidences, width), "$text-primary"))
        lines.append(Content.styled(_first_and_last(confidences), "$text-muted"))
    lines.append(safe(f"{each.image_name} · {each.question_id}", "$text-muted"))
    return Content("\n").join(lines)


def _label_text(each: CuratedQuestion) -> str:
    label = visible_answer(each.answer)
    return label if each.edited_answer is None else f"{label} → {visible(each.edited_answer)}"


def _loss_text(loss: float) -> str:
    return "-" if math.isnan(loss) else number(loss)


def _first_and_last(confidences: Sequence[float]) -> str:
    """The first and the last confidence in words."""
    known = [value for value in confidences if not math.isnan(value)]
    if len(known) < 2:
        return f"sure {probability(known[0]).strip()}"
    return f"sure {probability(known[0]).strip()} → {probability(known[-1]).strip()}"
