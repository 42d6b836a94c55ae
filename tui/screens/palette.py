"""The command palette."""

from __future__ import annotations

from textual import on
from textual.command import CommandPalette
from textual.widgets import Input, OptionList

from looptop.tui.screens.base import BaseScreen


class Palette(CommandPalette, BaseScreen[None]):
    """Textual's palette, except that a second click or key right after the first does nothing."""

    @on(OptionList.OptionSelected)
    @on(Input.Submitted)
    def _choose_once(self, event: OptionList.OptionSelected | Input.Submitted) -> None:
        if self._selected_command is not None:  # The command has been run.
            event.prevent_default()
            event.stop()
