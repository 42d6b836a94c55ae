"""Dialogs: a question that is answered with one key, and a field for text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from looptop.tui.actions import bindings
from looptop.tui.screens.base import Overlay
from looptop.tui.text import safe
from looptop.tui.widgets.bars import KeyBar
from looptop.tui.widgets.field import Field
from looptop.tui.widgets.note_field import NoteField
from looptop.tui.widgets.options import Options


class Question(Overlay[str]):
    """A question whose answers have keys. Returns the name of the chosen answer, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("dialog")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("dialog",)

    def __init__(self, title: str, text: Content, answers: Sequence[tuple[str, str, str]]) -> None:
        """`answers`: key, name and description of each; enter chooses the first."""
        super().__init__()
        self._title, self._text, self._answers = title, text, answers
        for key, name, label in answers:
            self._bindings._add_binding(Binding(key, f"answer('{name}')", label, show=False))

    def compose(self) -> Iterable[Widget]:
        """The text, then the answers."""
        lines = [
            Option(Content.assemble((f" {key} ", "$primary bold"), f" {label}"), id=name)
            for key, name, label in self._answers
        ]
        box = Vertical(Static(self._text, id="message"), Options(*lines, id="choices"), classes="box -question")
        box.border_title = safe(self._title)
        yield box
        yield KeyBar()

    def on_mount(self) -> None:
        """Highlights the first answer, which enter chooses."""
        self.query_one(OptionList).focus()

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)

    def action_answer(self, name: str) -> None:
        """Chooses the answer whose key was pressed."""
        self.dismiss(name)


class TextQuestion(Overlay[str]):
    """Asks for one or several lines of text. Returns the text, or None if it was not changed."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("dialog")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("dialog",)

    def __init__(self, title: str, before: str, *, several_lines: bool = False) -> None:
        super().__init__()
        self._title, self._before, self._several_lines = title, before, several_lines

    def compose(self) -> Iterable[Widget]:
        """One field."""
        field: Widget
        if self._several_lines:
            field = NoteField(self._before, id="text")
            field.border_subtitle = "enter keeps the text, ^j starts a new line, esc cancels"
        else:
            field = Field(self._before, id="text")
            field.border_subtitle = "enter keeps the text, esc cancels"
        box = Vertical(field, classes="box -question")
        box.border_title = safe(self._title)
        yield box
        yield KeyBar()

    def on_mount(self) -> None:
        """Selects a line, so that the first letter begins another one."""
        if not self._several_lines:
            self.query_one("#text", Field).action_select_all()

    @on(Input.Submitted, "#text")
    def _take_line(self, event: Input.Submitted) -> None:
        self._take(event.value)

    @on(NoteField.Submitted)
    def _take_note(self, event: NoteField.Submitted) -> None:
        self._take(event.note)

    def _take(self, text: str) -> None:
        self.dismiss(None if text == self._before else text)
