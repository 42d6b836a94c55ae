"""The model's answer: its confidence, other candidates, and the probability of each token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.style import Style
from textual.widgets import Static

from looptop.engine.text import visible, visible_answer
from looptop.engine.vqa.answers.records import MIN_SHOWN_PROBABILITY
from looptop.engine.vqa.confidence.doubts import doubt_text, unchecked_text
from looptop.tui.actions import bindings
from looptop.tui.text import bar, cell, probability, safe

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import Click
    from textual.geometry import Size

    from looptop.engine.vqa.answers.records import Answer, OtherToken, TokenProbability

SUGGESTION = "suggestion"
"""The key in a text style's meta data that holds a suggested question; a click puts it into the question field."""


class AnswerView(VerticalScroll):
    """Shows the answer to the last question, or instead suggested questions, an error, or other lines.

    It scrolls if it does not fit.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("answer")]

    @dataclass
    class SuggestionClicked(Message):
        """A suggested question was clicked."""

        question: str

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.border_title = "Answer"
        self._text = Static(id="answer-text")
        self._shown: tuple[str, Answer, str | None] | None = None
        self._model = ""
        self._raw = False
        self._drawn_size: Size | None = None

    def compose(self) -> ComposeResult:
        """One widget with text."""
        yield self._text

    def on_resize(self) -> None:
        """Draws the answer again for the new size."""
        if self._shown is not None and self.outer_size != self._drawn_size:
            self._draw(*self._shown)

    def show_lines(self, *lines: Content) -> None:
        """Shows lines that are not an answer."""
        self._shown = None
        self.border_title = "Answer"
        self._text.content = Content("\n").join(lines)

    def suggest(self, questions: list[str]) -> None:
        """Shows questions that can be clicked; without any, asks for one to be typed."""
        if not questions:
            self.show_lines(safe("Type a question about the image, then press enter.", "$text-muted"))
            return
        first = "The data's questions about this image (click one, or press ↓ in the question field):"
        lines = [safe(f"· {question}").stylize(Style.from_meta({SUGGESTION: question})) for question in questions]
        self.show_lines(Content.styled(first, "$text-muted"), Content(""), *lines)

    def on_click(self, event: Click) -> None:
        """Posts the clicked question."""
        if question := event.style.meta.get(SUGGESTION):
            self.post_message(self.SuggestionClicked(question))

    def show_error(self, sentence: str) -> None:
        """Shows an error."""
        self.show_lines(safe("✗ ", "$text-error bold") + safe(sentence, "$text-error"))

    def show(self, question: str, answer: Answer, truth: str | None) -> None:
        """Shows an answer; `truth` is the data's answer, or None if it is not known."""
        self._draw(question, answer, truth)
        self.scroll_home(animate=False)

    @property
    def model(self) -> str:
        """The model that answers from now on; empty until it is known."""
        return self._model

    def set_model(self, model: str) -> None:
        """Sets the model that answers from now on; the shown answer of another one is marked as such."""
        if model != self._model:
            self._model = model
            if self._shown is not None:
                self._draw(*self._shown)

    def toggle_raw_confidence(self) -> str:
        """Switches between calibrated and raw confidence.

        Returns:
            Why there is nothing to switch to; empty if it was switched.
        """
        if self._shown is not None and not self._shown[1].calibrated:
            return f"{visible(self._shown[1].model)} is not calibrated: all its confidences are raw"
        self._raw = not self._raw
        if self._shown is not None:
            self._draw(*self._shown)
        return ""

    def _draw(self, question: str, answer: Answer, truth: str | None) -> None:
        self._shown = question, answer, truth
        self._drawn_size = self.outer_size
        self.border_title = Content.assemble("Answer of ", safe(answer.model, "bold"))
        width, roomy = max(18, self.size.width - 3), self.size.height > 16
        gap = [Content("")] if roomy else []
        lines: list[Content] = []
        if self._model and answer.model != self._model:
            lines.append(safe(f"answered by {answer.model}, not by {self._model}", "bold $text-warning"))
        lines += [_short(question, 2 * width, "$text-muted"), *gap]
        raw = self._raw or not answer.calibrated
        kind = "raw confidence" if raw else "confidence"
        text = _short(visible_answer(answer.answer), 3 * width, "bold $text-primary")
        sure = probability(answer.raw_confidence if raw else answer.confidence).strip()
        lines.append(
            text
            + Content.styled(f"  {sure}", "bold")
            + Content.styled(f" {kind}" if roomy else " raw" if raw else "", "$text-muted")
        )
        if truth is not None:
            mark = ("✓ ", "$text-success bold") if truth == answer.answer else ("✗ ", "$text-error bold")
            lines.append(Content.assemble(mark, ("the data says: ", "$text-muted"), safe(visible_answer(truth))))
        lines += [safe("! ", "bold $text-warning") + safe(doubt_text(each), "$text-warning") for each in answer.doubts]
        if answer.unchecked:
            lines.append(safe(unchecked_text(answer.unchecked, short=not roomy), "$text-muted"))
        if answer.undecided:
            lines.append(Content.styled("the model is undecided: another answer may be likelier", "$text-warning"))
        title = kind if len(kind) < width - 10 else "raw" if raw else ""
        lines += [*gap, Content.styled(f"candidates{title:>{width - 10}}", "$text-muted")]
        lines += _candidates(answer, raw, width)
        lines += [*gap, Content.styled("tokens", "$text-muted")] if roomy else []
        lines += _tokens(answer.tokens, width)
        lines += [*gap, safe(f"{answer.model} · {1000 * answer.seconds:.0f} ms", "$text-muted")]
        self._text.content = Content("\n").join(lines)


def _candidates(answer: Answer, raw: bool, width: int) -> list[Content]:
    """A line with a bar for each candidate, and one without for all other answers, unless they are improbable."""
    words = min(max((len(visible_answer(each.answer)) for each in answer.candidates), default=4), max(9, width - 24))
    room = max(3, width - words - 8)
    lines = []
    for each in answer.candidates:
        confidence = each.raw_confidence if raw else each.confidence
        filled = bar(confidence, room)
        lines.append(
            cell(visible_answer(each.answer), words)
            + Content.assemble(" ", (filled, "$primary"), " " * (room - len(filled)), " ", probability(confidence))
        )
    others = answer.other_raw_confidence if raw else answer.other_confidence
    if others >= MIN_SHOWN_PROBABILITY:
        name = cell("other answers", words + room + 1)
        lines.append(Content.assemble(name, " ", probability(others)).stylize("$text-muted"))
    return lines


def _packed(pieces: list[Content], width: int) -> list[Content]:
    """Packs pieces of text into lines without breaking a piece."""
    lines: list[Content] = []
    for piece in pieces:
        if lines and lines[-1].cell_length + 2 + piece.cell_length <= width:
            lines[-1] = Content.assemble(lines[-1], "  ", piece)
        else:
            lines.append(piece)
    return lines


def _short(text: str, most: int, style: str) -> Content:
    """The text, cut to `most` characters, so that it does not push everything else off the screen."""
    return safe(text if len(text) <= most else f"{text[: most - 1]}…", style)


def _tokens(tokens: list[TokenProbability], width: int) -> list[Content]:
    """The answer's tokens with their probabilities, packed into lines.

    If other tokens were probable instead of one, they follow it after "or", and the next token begins a new line.
    """
    lines: list[Content] = []
    pieces: list[Content] = []
    for each in tokens:
        pieces.append(_token(each))
        if each.others:
            pieces += [Content.styled("or ", "$text-muted") + _token(other, "$text-muted") for other in each.others]
            lines += _packed(pieces, width)
            pieces = []
    return lines + _packed(pieces, width)


def _token(each: TokenProbability | OtherToken, style: str = "") -> Content:
    text = f" {probability(each.probability).strip()}"
    return safe(each.token.strip() or each.token, style) + Content.styled(text, "$text-muted")
