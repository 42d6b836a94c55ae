"""The command palette."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import SystemCommand
from textual.command import CommandPalette
from textual.keys import key_to_character
from textual.widgets import Input, OptionList

from looptop.engine.home import is_read_only
from looptop.tui.actions import Action, actions_of
from looptop.tui.screens.base import BaseScreen, MainScreen, key_contexts_of

if TYPE_CHECKING:
    from textual.screen import Screen


class Palette(CommandPalette, BaseScreen[None]):
    """Textual's palette, except that a second click or key right after the first does nothing."""

    @on(OptionList.OptionSelected)
    @on(Input.Submitted)
    def _choose_once(self, event: OptionList.OptionSelected | Input.Submitted) -> None:
        if self._selected_command is not None:  # The command has been run.
            event.prevent_default()
            event.stop()


def commands_of(screen: Screen[Any]) -> Iterator[SystemCommand]:
    """The commands of the palette: the actions that work on a screen."""
    for action in actions_of({"app", *key_contexts_of(screen)}):
        if action.palette and not (action.changes and is_read_only()):
            yield SystemCommand(f"{action.label} ({action.key_text})", action.help, _runner(screen, action))


def _runner(screen: Screen[Any], action: Action) -> Callable[[], None]:
    def run() -> None:
        key, focused = action.keys.split(",")[-1], screen.focused
        if isinstance(screen, MainScreen) and focused and focused.check_consume_key(key, key_to_character(key)):
            screen.leave_field()  # The field would take the key as text.
        screen.app.simulate_key(key)

    return run
