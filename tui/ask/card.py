"""The card of a model, over the screen: what it is made of, trained on, its figures, and how far to trust it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from looptop.engine.errors import LooptopError
from looptop.engine.text import counted, visible
from looptop.engine.times import local_time
from looptop.engine.vqa.confidence.doubts import Check
from looptop.tui import actions
from looptop.tui.background import in_thread, work
from looptop.tui.screens.base import Overlay
from looptop.tui.text import cell, safe
from looptop.tui.widgets.bars import KeyBar

if TYPE_CHECKING:
    from looptop.engine.vqa.evaluation.records import Estimate, Evaluation
    from looptop.engine.vqa.model_card import ModelCard, ModelPart, TrainedRun

MAX_EVALUATIONS = 6

NOT_EVALUATED = "not evaluated here yet; run `looptop eval`"


class CardView(Overlay[None]):
    """A model's card, which is read in a thread."""

    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("card")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("card",)

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model

    def compose(self) -> Iterable[Widget]:
        """One text, which can be scrolled."""
        reading = Static(Content.styled("reading the model's files…", "$text-muted"), id="card")
        box = VerticalScroll(reading, classes="box -help")
        box.border_title = safe(f"Card of {self._model}")
        yield box
        yield KeyBar()

    def on_mount(self) -> None:
        """Reads the card."""
        self.query_one(VerticalScroll).focus()
        work(self, self._read(), "card")

    async def _read(self) -> None:
        from looptop.engine.vqa.model_card import model_card

        try:
            card = await in_thread(lambda: model_card(self._model))
            text = card_text(card, self.query_one("#card").size.width)
        except LooptopError as error:
            text = safe("✗ ", "$text-error bold") + safe(error, "$text-error")
        self.query_one("#card", Static).update(text)


Row = tuple[str, str]
"""A name and a value; a line of its own if there is no name."""

_NAMES = 18
"""Cells for the names, with the space around them."""


def card_text(card: ModelCard, width: int) -> Content:
    """The whole card, for this many cells."""
    sections = [
        ("What it is made of", _made_of(card)),
        ("What it was trained on", _trained_on(card.run) if card.run is not None else iter(())),
        ("How good it is", _figures(card)),
        ("How far to trust it", _trust(card)),
    ]
    lines: list[Content] = []
    for title, rows in sections:
        if shown := [line for row in rows for line in _lines(row, width)]:
            lines += [Content.styled(title, "$secondary bold"), *shown, Content("")]
    lines += [safe(trouble, "$text-warning") for trouble in card.troubles]
    if card.text:
        lines += [Content.styled("From its README.md", "$secondary bold"), *_readme(card.text)]
    return Content("\n").join(lines)


def _lines(row: Row, width: int) -> Iterator[Content]:
    """A row, its value wrapped beside its name."""
    name, value = row
    if not name:
        yield safe(f" {value}")
        return
    for number, part in enumerate(wrap(visible(value), max(width - _NAMES, 8))):
        yield cell(f" {name}" if number == 0 else "", _NAMES, "$text-muted") + Content(part)


def _readme(text: str) -> Iterator[Content]:
    """The lines of a Markdown text: paragraphs as one line each, which the terminal wraps; headings bold."""
    paragraph: list[str] = []
    is_code = False
    for line in [*text.strip().splitlines(), ""]:
        word = line.lstrip()[:1]
        stands_alone = is_code or not word or word in "#-*|`>" or line.startswith("    ")
        if stands_alone and paragraph:
            yield safe(" ".join(paragraph))
            paragraph = []
        if line.startswith("```"):
            is_code = not is_code
        elif line.startswith("#") and not is_code:
            yield safe(line.lstrip("# "), "bold")
        elif is_code or not word or word in "|`>" or line.startswith("    "):
            yield safe(line)
        else:
            paragraph.append(line.strip())


def _made_of(card: ModelCard) -> Iterator[Row]:
    for part in card.parts:
        yield part.name, _part(part)
    yield "fusion", card.fusion or "?"
    if card.parameters is not None:
        yield "parameters", f"{card.parameters:,}"
    yield "folder", str(card.folder)


def _part(part: ModelPart) -> str:
    width = f", width {part.width:,}" if part.width is not None else ""
    layers = f", {counted(part.layers, 'layer')}" if part.layers is not None else ""
    return f"{part.family}{width}{layers}"


def _trained_on(run: TrainedRun) -> Iterator[Row]:
    yield "run", f"{run.id}, {run.state}{f', preset {run.preset}' if run.preset else ''}"
    yield "made from", run.made_from
    if run.frozen:
        yield "frozen", ", ".join(run.frozen)
    yield "data", run.source
    if run.questions:
        yield "questions", ", ".join(f"{count:,} {split}" for split, count in run.questions.items())
    if run.epochs is not None:
        rate = f", learning rate {run.learning_rate:g}" if run.learning_rate is not None else ""
        yield "epochs", f"{run.epochs:g}{rate}"


def _figures(card: ModelCard) -> Iterator[Row]:
    if which := str(card.checkpoint):
        yield "figures of", which
    if (run := card.run) is not None:
        measured = {
            "test": run.test_accuracy,
            "validation": run.validation_accuracy,
            "question only": run.question_only,
        }
        for name, value in measured.items():
            if value is not None:
                yield name, f"{100 * value:.2f} % accuracy{' on validation' if name == 'question only' else ''}"
    for evaluation in card.evaluations[:MAX_EVALUATIONS]:
        yield from _evaluation(evaluation)
    if not card.evaluations:
        yield "", NOT_EVALUATED


def _evaluation(evaluation: Evaluation) -> Iterator[Row]:
    first = "" if evaluation.limit is None else f", the first {evaluation.limit:,}"
    yield "", f"looptop eval on {evaluation.data}{first}, {local_time(evaluation.when, '%Y-%m-%d %H:%M')}"
    yield "  accuracy", _estimate(evaluation.accuracy)
    if evaluation.question_only is not None:
        yield "  question only", _estimate(evaluation.question_only)
    yield "  calibration", f"error {100 * evaluation.calibration_error:.2f} %"


def _estimate(estimate: Estimate) -> str:
    between = ""
    if estimate.low is not None and estimate.high is not None:
        between = f" ({100 * estimate.low:.2f} to {100 * estimate.high:.2f} %)"
    return f"{100 * estimate.value:.2f} %{between}, {counted(estimate.questions, 'question')}"


def _trust(card: ModelCard) -> Iterator[Row]:
    fitted = card.calibration
    if fitted is None:
        yield "confidence", "raw: this model was saved without a calibration"
    else:
        yield "confidence", f"calibrated on {counted(fitted.questions, 'validation question')}"
        yield "temperature", f"{fitted.temperature:.2f}"
        before, after = 100 * fitted.raw_error, 100 * fitted.error
        yield "calibration", f"error {after:.2f} % ({before:.2f} % before calibration)"
    yield "words", _missing(card, Check.WORDS) if card.words is None else f"{card.words:,} in its training questions"
    images = None if card.images is None else counted(card.images, "training image")
    yield "images", _missing(card, Check.IMAGE) if images is None else f"{images} to compare with"


def _missing(card: ModelCard, check: Check) -> str:
    what = "words are unknown" if check is Check.WORDS else "images are unfamiliar"
    hint = "; `looptop calibrate` can add them" if check in card.calibrate_helps else ""
    return f"not recorded, so it cannot tell which {what}{hint}"
