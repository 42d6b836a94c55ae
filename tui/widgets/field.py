"""A text field in which nothing that could act on the terminal can be typed or pasted."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.events import Paste
from textual.widgets import Input

from looptop.engine.text import visible
from looptop.tui.actions import bindings
from looptop.tui.text import one_line


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

    def _on_paste(self, event: Paste) -> None:
        """Several lines become one: Textual's field would keep the first and drop the others."""
        event.prevent_default()
        event.stop()
        text = one_line(event.text)
        if text:
            self.replace(text, *self.selection)

    def validate_value(self, value: str) -> str:
        """Control characters are shown, not passed on."""
        return visible(value)
