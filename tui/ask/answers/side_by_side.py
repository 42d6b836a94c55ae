"""The answers of all models that are asked, side by side, each under its model's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.containers import Container

from looptop.tui.ask.answers.answer_view import AnswerView
from looptop.tui.ask.answers.kept_answers import is_same_answer
from looptop.tui.text import safe

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from looptop.engine.asked.records import Entry

MIN_VIEW_WIDTH = 22
"""The fewest cells of a view beside another one; in a narrower panel the views stand below each other."""


class Answers(Container):
    """One view for each model; the first model's is always there."""

    DEFAULT_CSS = """
    Answers {
        layout: grid;
        grid-size: 1;
        height: 100%;
    }
    """

    def __init__(self) -> None:
        super().__init__(id="answers")
        self._first = AnswerView(id="answer")
        self._others: dict[str, AnswerView] = {}
        """The views of the other models, by the model's name."""
        self._made = 1
        """How many views have been made, for their ids."""
        self._entries: dict[AnswerView, Entry] = {}
        """What is on display."""

    def compose(self) -> ComposeResult:
        """The first model's view; the others come when they are asked."""
        yield self._first

    @property
    def views(self) -> list[AnswerView]:
        """All views."""
        return [self._first, *self._others.values()]

    @property
    def entry(self) -> Entry | None:
        """The answer that has the focus, else the first model's."""
        focused = next((view for view in self._others.values() if view.has_focus), self._first)
        return self._entries.get(focused)

    def take_focus(self) -> None:
        """Puts the focus on the first answer, unless another one has it."""
        if not any(view.has_focus for view in self.views):
            self._first.focus()

    def use(self, models: Sequence[str]) -> None:
        """Has one view for each of these models."""
        self._first.set_model(models[0])
        for name in [name for name in self._others if name not in models[1:]]:
            view = self._others.pop(name)
            self._entries.pop(view, None)
            view.remove()
        for name in models[1:]:
            if name not in self._others:
                self._made += 1
                view = self._others[name] = AnswerView(id=f"answer-{self._made}")
                view.set_model(name)
                self.mount(view)
                self._lines(view, name)
        if self._first not in self._entries:
            self._show_name(self._first, models[0])
        self.on_resize()

    def on_resize(self) -> None:
        """Puts the views beside each other if there is room."""
        count = len(self._others) + 1
        columns = max(1, min(count, self.size.width // MIN_VIEW_WIDTH))
        self.styles.grid_size_columns = columns
        self.styles.grid_size_rows = -(-count // columns)

    # What is shown.

    def suggest(self, questions: list[str]) -> None:
        """Suggests questions; no answer is on display any more."""
        self._entries.clear()
        self._first.suggest(questions)
        self._show_name(self._first, self._first.model)
        for name, view in self._others.items():
            self._lines(view, name)

    def show_error(self, sentence: str, model: str = "") -> None:
        """Shows what went wrong with a model, or with what was asked."""
        view = self._others.get(model, self._first)
        self._entries.pop(view, None)
        view.show_error(sentence)
        self._show_name(view, model or view.model)

    def wait(self, question: str, status: str, models: Sequence[str]) -> None:
        """Shows that these models are answering."""
        for name in models:
            view = self._others.get(name, self._first)
            self._entries.pop(view, None)
            self._lines(view, name, question, status)

    def show(self, entry: Entry) -> None:
        """Shows an answer under its model's name; that of another model in the first view."""
        view = self._others.get(entry.answer.model, self._first)
        self._entries[view] = entry
        view.show(entry.question, entry.answer, entry.truth or None)

    def kept(self, entry: Entry) -> None:
        """An answer on display has its number now."""
        for view, one in self._entries.items():
            if not one.id and is_same_answer(one, entry):
                self._entries[view] = entry
                return

    def replace(self, entry: Entry) -> None:
        """Shows a changed answer again, if it is on display."""
        if any(one.id == entry.id for one in self._entries.values()):
            self.show(entry)

    def toggle_raw_confidence(self) -> str:
        """Switches between calibrated and raw confidence.

        Returns:
            Why there is nothing to switch to; empty if it was switched.
        """
        sentences = [view.toggle_raw_confidence() for view in self.views]
        return sentences[0] if all(sentences) else ""

    def _lines(self, view: AnswerView, name: str, question: str = "", status: str = "") -> None:
        view.show_lines(safe(question[:200], "$text-muted"), safe(status, "$text-primary"))
        self._show_name(view, name)

    def _show_name(self, view: AnswerView, name: str) -> None:
        """Names the model of a view without an answer; a single one needs no name, since the top line has it."""
        view.border_title = safe(name) if self._others else "Answer"
