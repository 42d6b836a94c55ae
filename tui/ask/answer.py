"""The model's answer: its confidence, other candidates, and the probability of each token."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from looptop.engine.text import visible_answer
from looptop.engine.vqa.answer_records import MIN_SHOWN_PROBABILITY
from looptop.tui.actions import bindings
from looptop.tui.text import bar, cell, percent, safe

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from looptop.engine.vqa.answer_records import Answer, TokenProbability


class AnswerView(VerticalScroll):
    """The answer to the last question; it scrolls if it does not fit."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("answer")]

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.border_title = "Answer"
        self._text = Static(id="answer-text")

    def compose(self) -> ComposeResult:
        """One widget with text."""
        yield self._text

    def show_lines(self, *lines: Content, model: str = "") -> None:
        """Replaces the text.

        Args:
            lines: The lines.
            model: The model that gave this answer; empty if they are not an answer.
        """
        self.border_title = safe(f"Answer of {model}" if model else "Answer")
        self._text.content = Content("\n").join(lines)

    def suggest(self, questions: list[str]) -> None:
        """Suggests questions."""
        if not questions:
            self.show_lines(safe("Type a question about the image, then press enter.", "$text-muted"))
            return
        first = Content.styled("The benchmark asks of this image (↓ in the question fills one in):", "$text-muted")
        self.show_lines(first, Content(""), *(safe(f"· {question}") for question in questions))

    def fail(self, sentence: str) -> None:
        """Shows what went wrong."""
        self.show_lines(safe("✗ ", "$text-error bold") + safe(sentence, "$text-error"))

    def show(self, question: str, answer: Answer, truth: str | None) -> None:
        """Shows an answer."""
        width, roomy = max(18, self.size.width - 3), self.size.height > 16
        gap = [Content("")] if roomy else []
        lines = [_short(question, 2 * width, "$text-muted"), *gap]
        text = _short(visible_answer(answer.answer), 3 * width, "bold $text-primary")
        sure = Content.styled(f"  {percent(answer.confidence).strip()}", "bold")
        lines.append(text + sure + Content.styled(" confidence" if roomy else "", "$text-muted"))
        if truth is not None:
            mark = ("✓ ", "$text-success bold") if truth == answer.answer else ("✗ ", "$text-error bold")
            lines.append(Content.assemble(mark, ("benchmark: ", "$text-muted"), safe(visible_answer(truth))))
        lines += [*gap, Content.styled(f"candidates{'confidence':>{width - 10}}", "$text-muted")]
        words = min(
            max((len(visible_answer(each.answer)) for each in answer.candidates), default=4), max(9, width - 24)
        )
        room = max(3, width - words - 8)
        for each in answer.candidates:
            filled = bar(each.confidence, room)
            lines.append(
                cell(visible_answer(each.answer), words)
                + Content.assemble(" ", (filled, "$primary"), " " * (room - len(filled)), " ", percent(each.confidence))
            )
        if not answer.understood:
            lines.append(Content.styled("the model knows no word of this question", "$text-warning"))
        if answer.others >= MIN_SHOWN_PROBABILITY:
            name = cell("other answers", words + room + 1)
            lines.append(Content.assemble(name, " ", percent(answer.others)).stylize("$text-muted"))
        if answer.undecided:
            lines.append(Content.styled("the model is undecided: another answer may be likelier", "$text-muted"))
        lines += [*gap, Content.styled("tokens", "$text-muted")] if roomy else []
        lines += _packed([_token(each) for each in answer.tokens], width)
        lines += [*gap, safe(f"{answer.model} · {1000 * answer.seconds:.0f} ms", "$text-muted")]
        self.show_lines(*lines, model=answer.model)
        self.scroll_home(animate=False)


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
    """The text, cut if it would push everything else off the screen."""
    return safe(text if len(text) <= most else f"{text[: most - 1]}…", style)


def _token(each: TokenProbability) -> Content:
    text = f" {percent(each.probability).strip()}"
    return safe(each.token.strip() or each.token) + Content.styled(text, "$text-muted")
