"""The command palette: the actions that work here, then those of all screens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from textual import on
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.widgets import Input, OptionList

from looptop.engine.home import is_read_only
from looptop.tui.actions import KEY_CONTEXTS, SCREENS, Action, actions_of
from looptop.tui.background import work
from looptop.tui.screen_names import NUMBERED_SCREENS
from looptop.tui.screens.base import BaseScreen, MainScreen, Services, key_contexts_of

if TYPE_CHECKING:
    from textual.app import App
    from textual.dom import DOMNode
    from textual.screen import Screen

SETTLE_SECONDS = 2.0
"""How long a screen that is opened for a command may take to be ready for it."""

SOON_READY = {"ask", "train", "runs"}
"""Key contexts of screens where an action that cannot be done yet soon can."""

HELP_SCORE, HERE_FACTOR = 0.1, 1.5
"""The score of a command whose sentence has the words, and what counts in favour of one that works here."""


class Palette(CommandPalette, BaseScreen[None]):
    """Textual's palette, except that a second click or key right after the first does nothing."""

    @on(OptionList.OptionSelected)
    @on(Input.Submitted)
    def _choose_once(self, event: OptionList.OptionSelected | Input.Submitted) -> None:
        if self._selected_command is not None:  # The command has been run.
            event.prevent_default()
            event.stop()


class Command(NamedTuple):
    """An action, and where it is done."""

    action: Action
    context: str
    screen_name: str = ""
    """The screen to go to; empty for the open one."""

    @property
    def name(self) -> str:
        """The action's label, after the name of the screen if another one has to be opened."""
        label = f"{self.action.label} ({self.action.displayed_keys})"
        return f"{SCREENS[self.screen_name].title}: {label}" if self.screen_name else label

    def refusal(self, *, is_reading: bool = False) -> str:
        """Why it cannot be done.

        Args:
            is_reading: Whether what the open screen is to show has not been read yet.
        """
        where = KEY_CONTEXTS[self.context]
        if is_reading and self.context not in SOON_READY:
            return f"the run is not read yet, so “{self.action.label}” cannot be done; try again in a moment"
        if self.context in SOON_READY:
            return f"{where} is not ready for “{self.action.label}” yet; try again in a moment"
        prefix = f"{SCREENS[self.screen_name].title}: " if self.screen_name else ""
        return f"{prefix}“{self.action.label}” works only {where[0].lower()}{where[1:]}; open that first"


class Commands(Provider):
    """The commands of the palette."""

    async def discover(self) -> Hits:
        """All commands, those that work here first."""
        for command in commands_of(self.screen):
            yield DiscoveryHit(command.name, lambda command=command: run(self.app, command), help=command.action.help)

    async def search(self, query: str) -> Hits:
        """The commands whose name is like the query, or whose sentence has it."""
        matcher = self.matcher(query)
        for command in commands_of(self.screen):
            score = matcher.match(command.name)
            if not score and query.lower() in command.action.help.lower():
                score = HELP_SCORE
            if score:
                score *= 1.0 if command.screen_name else HERE_FACTOR
                name, sentence = matcher.highlight(command.name), command.action.help
                yield Hit(score, name, lambda command=command: run(self.app, command), help=sentence)


def commands_of(screen: Screen[Any]) -> Iterator[Command]:
    """The commands that work on a screen, then those that need something else to be open, on this or another one."""
    here = ("app", *key_contexts_of(screen))
    contexts = [(context, "") for context in here]
    contexts += [(context, name) for name, each in SCREENS.items() for context in each.contexts]
    for context, name in contexts:
        if name and context in here and screen.app.current_mode == name:
            continue
        for action in actions_of([context]):
            if action.palette and not (action.changes and is_read_only()):
                yield Command(action, context, name)


def run(app: App[Any], command: Command) -> None:
    """Does what a command says, or shows why it cannot be done."""
    work(app, _run(app, command), "palette", exclusive=True)


async def _run(app: App[Any], command: Command) -> None:
    services, end = cast("Services", app), 0.0
    if command.screen_name and not app._screen_stacks.get(command.screen_name):
        if command.screen_name not in NUMBERED_SCREENS:  # It shows what another screen gives it.
            services.show_notice(command.refusal(), "warning")
            return
        end = time.monotonic() + SETTLE_SECONDS
    if command.screen_name:
        await services.action_go(command.screen_name)
    if _is_reading(app):
        end = time.monotonic() + SETTLE_SECONDS
    while not await _try_action(app, command.action):
        if time.monotonic() >= end:
            services.show_notice(command.refusal(is_reading=_is_reading(app)), "warning")
            return
        await asyncio.sleep(0.05)


def _is_reading(app: App[Any]) -> bool:
    screen = app.screen_stack[0]
    return isinstance(screen, MainScreen) and screen.is_reading


async def _try_action(app: App[Any], action: Action) -> bool:
    """Does the action where its key is; false if that is nowhere, or it cannot be done now."""
    screen = app.screen_stack[0]
    path = screen.focused.ancestors_with_self if screen.focused is not None else ()
    for node in (*path, *screen.walk_children(), screen, app):
        if _has_key(node, action) and all(each.display for each in node.ancestors_with_self if each.parent):
            return await app.run_action(action.name, node)
    return False


def _has_key(node: DOMNode, action: Action) -> bool:
    known = node._bindings.key_to_bindings
    return any(each.action == action.name for key in action.keys.split(",") for each in known.get(key, ()))
