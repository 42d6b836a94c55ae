"""One line to type in. It replaces another line, so that nothing else moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal
from textual.widgets import Input, Static

from looptop.engine.errors import LooptopError
from looptop.tui.text import safe
from looptop.tui.widgets.field import Field

if TYPE_CHECKING:
    from textual.app import ComposeResult


class InputLine(Horizontal):
    """A question, a field, and a hint with the value's meaning or its error."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.display = False
        self._take: Callable[[str], None] = lambda _value: None
        self._check: Callable[[str], str] = lambda _value: ""
        self._leave: Callable[[], None] = lambda: None
        self.label = ""
        """The question."""

    def compose(self) -> ComposeResult:
        """Question, field, hint."""
        yield Static(classes="input-label")
        yield Field()
        yield Static(classes="input-hint")

    def ask(
        self,
        label: str,
        value: str,
        *,
        check: Callable[[str], str],
        take: Callable[[str], None],
        leave: Callable[[], None],
    ) -> None:
        """Asks; an earlier question that was not answered is dropped.

        Args:
            label: The question.
            value: The initial text of the field.
            check: Called as it is typed; returns what the value means, or raises LooptopError.
            take: Called with the value on enter, unless `check` refuses it.
            leave: Called when the question is closed, with or without an answer.
        """
        self.label = label
        self._check, self._take, self._leave = check, take, leave
        self.query_one(".input-label", Static).update(safe(label, "bold $text-primary"))
        field = self.query_one(Field)
        self.display = True
        with field.prevent(Input.Changed):
            field.value = value
        field.cursor_position = len(value)
        field.focus()
        self._show_hint(value)

    @property
    def value(self) -> str:
        """The text in the field."""
        return self.query_one(Field).value

    def close(self) -> None:
        """Closes the question without an answer."""
        if self.display:
            self.display = False
            self._leave()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._show_hint(event.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        try:
            self._check(event.value)
        except LooptopError:
            return
        self.display = False
        self._leave()
        self._take(event.value)

    def _show_hint(self, value: str) -> None:
        hint = self.query_one(".input-hint", Static)
        try:
            hint.update(safe(self._check(value), "$text-muted"), layout=False)
        except LooptopError as error:
            hint.update(safe(error, "$text-error"), layout=False)
