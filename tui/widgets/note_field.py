"""A field of several lines in which nothing that could act on the terminal can be pasted."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.events import Key, Paste
from textual.widgets import TextArea

from looptop.engine.text import visible
from looptop.tui.actions import bindings

if TYPE_CHECKING:
    from textual.binding import BindingType


class NoteField(TextArea):
    """Enter keeps the text; pasted lines stay lines."""

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

    def __init__(self, text: str, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(text, id=id, soft_wrap=True, show_line_numbers=False, tab_behavior="focus")
        self.cursor_blink = False
        self.move_cursor(self.document.end)

    async def _on_key(self, event: Key) -> None:
        if event.key == "enter":
            event.prevent_default()
            event.stop()
            from looptop.tui.screens.dialog import TextQuestion

            if isinstance(self.screen, TextQuestion):
                self.screen.take(self.text)
        elif event.key in ("ctrl+j", "shift+enter"):
            event.prevent_default()
            event.stop()
            self.insert("\n")
        else:
            await super()._on_key(event)
            event.prevent_default()

    async def _on_paste(self, event: Paste) -> None:
        await super()._on_paste(Paste(visible(event.text.replace("\r\n", "\n").replace("\r", "\n"), keep_lines=True)))
        event.prevent_default()
        event.stop()
