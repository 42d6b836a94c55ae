"""A field for several lines, in which control characters are shown as marks and cannot be pasted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.events import Key, Paste
from textual.message import Message
from textual.widgets import TextArea

from looptop.engine.text import visible, visible_lines
from looptop.tui.actions import bindings

if TYPE_CHECKING:
    from textual.binding import BindingType

_FIRST = 0x100000
"""The first stand-in, in a private-use plane of Unicode."""


class StandIns:
    """Replaces control characters by private-use characters while a text is edited.

    Textual's text area treats several control characters as line ends, and none as a cell. It would change them or show
    the cursor in the wrong cell. A stand-in is an ordinary character, and is replaced by the original at the end.

    Args:
        text: The text.
    """

    def __init__(self, text: str) -> None:
        # A character that could be mistaken for a stand-in gets one, too.
        unfit = sorted(
            {char for char in text if char != "\t" and (visible(char) != char or ord(char) >= _FIRST)} - {"\n"}
        )
        self._hidden = {ord(char): chr(_FIRST + number) for number, char in enumerate(unfit)}
        self._back = {_FIRST + number: char for number, char in enumerate(unfit)}
        self._marks = {code: visible(char) for code, char in self._back.items()}

    def hide(self, text: str) -> str:
        """The text with the stand-ins."""
        return text.translate(self._hidden)

    def back(self, text: str) -> str:
        """The text with the original characters."""
        return text.translate(self._back)

    def show(self, text: str) -> str:
        """The text with a visible mark for each stand-in."""
        return text.translate(self._marks)


class NoteField(TextArea):
    """A field for a note: enter saves, pasted lines stay lines."""

    DEFAULT_CSS = """
    NoteField {
        height: 8;
        padding: 0 1;
        background: $surface;
        border: round $border-blurred;

        &:focus {
            border: round $border;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("field")]

    @dataclass
    class Submitted(Message):
        """Enter was pressed."""

        note: str

    def __init__(self, text: str, *, id: str) -> None:  # noqa: A002 (Textual's name)
        self._stand_ins = StandIns(text)
        super().__init__(
            self._stand_ins.hide(text), id=id, soft_wrap=True, show_line_numbers=False, tab_behavior="focus"
        )
        self.cursor_blink = False
        self.move_cursor(self.document.end)

    @property
    def note(self) -> str:
        """The text; parts that were not edited are unchanged."""
        return self._stand_ins.back(self.text)

    def get_line(self, line_index: int) -> Text:
        """A line as it is shown."""
        return Text(self._stand_ins.show(self.document.get_line(line_index)), end="", no_wrap=True)

    async def _on_key(self, event: Key) -> None:
        if event.key == "enter":
            event.prevent_default()
            event.stop()
            self.post_message(self.Submitted(self.note))
        elif event.key in ("ctrl+j", "shift+enter"):
            event.prevent_default()
            event.stop()
            self.insert("\n")
        else:
            await super()._on_key(event)
            event.prevent_default()

    async def _on_paste(self, event: Paste) -> None:
        await super()._on_paste(Paste(visible_lines(event.text.replace("\r\n", "\n").replace("\r", "\n"))))
        event.prevent_default()
        event.stop()

    def action_paste(self) -> None:
        """Pastes the text that was copied in the app."""
        self.post_message(Paste(self.app.clipboard))
