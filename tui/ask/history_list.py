"""The list of earlier questions, which is only there once there are any."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from looptop.tui.actions import bindings
from looptop.tui.ask.history import History
from looptop.tui.widgets.options import Options


class HistoryList(Options):
    """A line for each; enter shows it again."""

    DEFAULT_CSS = """
    HistoryList {
        height: 1fr;
        max-height: 1fr;
        background: transparent;
        border: none;
        padding: 0;
        text-wrap: nowrap;
        text-overflow: ellipsis;
        scrollbar-size-vertical: 1;

        &:focus {
            border: none;
            background-tint: $foreground 0%;
        }

        & > .option-list--option-highlighted {
            background: $panel;
            color: $foreground;
            text-style: none;
        }

        &:focus > .option-list--option-highlighted {
            background: $primary 30%;
            color: $foreground;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("history")]

    def show(self, lines: Iterable[Content]) -> None:
        """Shows these, the first highlighted."""
        self.set_options([Option(line) for line in lines])
        self.highlighted = 0

    def action_again(self) -> None:
        """As a click does."""
        self.action_select()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Has it shown."""
        event.stop()
        parent = self.parent
        if isinstance(parent, History):
            parent.again(event.option_index)
