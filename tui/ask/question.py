"""The field for the question. The arrows suggest questions; paths that are pasted into it are opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import BindingType
from textual.events import Paste
from textual.message import Message

from looptop.tui.actions import bindings
from looptop.tui.paths import may_be_paths
from looptop.tui.widgets.field import Field

FOCUSED = "type a question and press enter, or ↓ for a suggestion"
UNFOCUSED = "press a, or enter on an image, to type a question"


class QuestionField(Field):
    """The field for the question."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("question")]

    @dataclass
    class PathsPasted(Message):
        """What was pasted may be paths of images, not a question."""

        text: str

    def __init__(self) -> None:
        super().__init__(placeholder=UNFOCUSED, id="question")
        self.border_title = "Question"
        self.select_on_focus = True
        self.suggestions: list[str] = []
        """Questions that make sense for the image."""
        self._earlier: list[str] = []
        self._at = -1

    def on_focus(self) -> None:
        """Shows a hint about typing."""
        self.placeholder = FOCUSED

    def on_blur(self) -> None:
        """Shows a hint about how to come back."""
        self.placeholder = UNFOCUSED

    @property
    def is_new(self) -> bool:
        """Whether it holds a question that was typed and not asked."""
        typed = self.value.strip()
        return bool(typed) and typed not in self._earlier and typed not in self.suggestions

    def remember(self, question: str) -> None:
        """Adds a question to those that the up arrow fills in."""
        self._earlier = [question, *(each for each in self._earlier if each != question)][:50]
        self._at = -1

    def action_suggest(self, by: int) -> None:
        """Fills in the next suggestion (down) or earlier question (up)."""
        offered = list(dict.fromkeys([*self.suggestions, *reversed(self._earlier)]))
        if not offered:
            return
        if self.value not in offered:
            self._at = -1 if by > 0 else len(offered)
        else:
            self._at = offered.index(self.value)
        self._at = (self._at + by) % len(offered)
        self.fill(offered[self._at])

    def fill(self, question: str) -> None:
        """Fills in a question, to be asked or changed."""
        self.value = question
        self.cursor_position = len(question)

    def _on_paste(self, event: Paste) -> None:
        if may_be_paths(event.text):
            event.prevent_default()
            event.stop()
            self.post_message(self.PathsPasted(event.text))
            return
        super()._on_paste(event)
