"""A text field that makes control characters visible and keeps them in its text."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.binding import BindingType
from textual.events import Paste
from textual.widgets import Input

from looptop.engine.text import visible
from looptop.tui.actions import bindings
from looptop.tui.text import pasted_line


class Field(Input, inherit_css=False):
    """A text field; printable keys type, esc leaves."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "input--cursor",
        "input--placeholder",
        "input--suggestion",
        "input--selection",
    }
    DEFAULT_CSS = """
    Field {
        width: 100%;
        height: 3;
        padding: 0 1;
        background: $surface;
        color: $foreground;
        border: round $border-blurred;
        scrollbar-size-horizontal: 0;
        pointer: text;

        &:focus {
            border: round $border;
        }

        & > .input--cursor {
            background: $input-cursor-background;
            color: $input-cursor-foreground;
            text-style: $input-cursor-text-style;
        }

        & > .input--selection {
            background: $input-selection-background;
            color: $input-selection-foreground;
        }

        & > .input--placeholder, & > .input--suggestion {
            color: $text-muted;
        }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("field")]

    def __init__(self, value: str = "", *, placeholder: str = "", id: str | None = None) -> None:  # noqa: A002
        super().__init__(value, placeholder=placeholder, id=id, select_on_focus=False)
        self.cursor_blink = False

    # Textual's field counts a control character as zero, one or more cells; here it is shown in one.

    @property
    def _value(self) -> Text:
        return Text(visible(self.value), no_wrap=True, overflow="ignore", end="")

    def _position_to_cell(self, position: int) -> int:
        return cell_len(visible(self.value[:position]))

    def _cell_offset_to_index(self, offset: int) -> int:
        end = -self.scroll_offset.x
        for index, char in enumerate(visible(self.value)):
            end += cell_len(char)
            if offset < end:
                return index
        return len(self.value)

    def _on_paste(self, event: Paste) -> None:
        """Joins pasted lines; Textual's field would keep only the first."""
        event.prevent_default()
        event.stop()
        self.put(event.text)

    def put(self, text: str) -> None:
        """Puts pasted text in the place of what is selected."""
        if line := pasted_line(text):
            self.replace(line, *self.selection)

    def action_paste(self) -> None:
        """Pastes the text that was copied in the app."""
        self.post_message(Paste(self.app.clipboard))
