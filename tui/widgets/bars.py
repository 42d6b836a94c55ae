"""The top line (the screens, the status) and the bottom line (the keys that work here)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.binding import Binding
from textual.content import Content
from textual.keys import key_to_character
from textual.widget import Widget

from looptop.engine.home import is_read_only
from looptop.engine.text import counted, visible
from looptop.tui.actions import CHANGING
from looptop.tui.text import safe

if TYPE_CHECKING:
    from textual.app import App, RenderResult
    from textual.events import Click


NARROW = 60
"""Below this width, in cells, the top line leaves out the program's name."""
MIN_STATUS_WIDTH = 10
"""A status with less room, in cells, says nothing; it is left out."""
LAST_ACTIONS = ("help", "quit_or_ask", "leave", "leave_or_close")
"""Actions whose keys stand last in the bottom line and are left out last: help, and what quits or leaves a page."""


class Spot(NamedTuple):
    """A part of a line that can be clicked, and the key that the click presses."""

    start: int
    end: int
    key: str


class ClickableLine(Widget, can_focus=False):
    """One line of text with spots that can be clicked."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.spots: list[Spot] = []

    def on_click(self, event: Click) -> None:
        """Presses the key of the spot."""
        for spot in self.spots:
            if spot.start <= event.x < spot.end:
                self.app.simulate_key(spot.key)
                return


class TopBar(ClickableLine):
    """The names of the screens, this one highlighted, and at the right its status."""

    SCREENS = (("ask", "1", "Ask"), ("train", "2", "Train"), ("ppo", "3", "PPO"), ("runs", "4", "Runs"))

    def __init__(self, screen_name: str) -> None:
        super().__init__(id="top")
        self._screen_name = screen_name
        self._status: Content = Content("")

    def highlight(self, screen_name: str) -> None:
        """Highlights the name of another screen, from which this one was opened."""
        self._screen_name = screen_name
        self.refresh()

    def show_status(self, text: str, style: str = "$text-muted") -> None:
        """Shows the status at the right."""
        status = safe(text, style)
        if status != self._status:
            self._status = status
            self.refresh()

    def render(self) -> RenderResult:
        """The line."""
        name = " looptop  read-only   " if is_read_only() else " looptop   "
        if self.size.width < NARROW:
            name = " "
        parts: list[str | tuple[str, str]] = [(name, "$primary bold")]
        self.spots = []
        at = len(name)
        for name, key, label in self.SCREENS:
            text = f" {key} {label} "
            parts.append((text, "$background on $primary bold" if name == self._screen_name else "$text-muted"))
            self.spots.append(Spot(at, at + len(text), f"alt+{key}"))
            at += len(text) + 1
            parts.append(" ")
        left = Content.assemble(*parts)
        room = self.size.width - left.cell_length - 1
        sign = alerts_sign(getattr(self.app, "unread_alerts", {}), room)
        room -= sign.cell_length
        left += sign
        status = self._status.truncate(room, ellipsis=True) if room >= MIN_STATUS_WIDTH else Content("")
        return left + Content(" " * max(room - status.cell_length, 0)) + status


def refresh_top_lines(app: App[Any]) -> None:
    """Draws the top line of every screen again."""
    for screens in app._screen_stacks.values():
        for screen in screens:
            for bar in screen.query(TopBar):
                bar.refresh()


def alerts_sign(alerts: Mapping[str, int], room: int) -> Content:
    """The sign that runs have alerts: "! vqa-3: 2 alerts", or only their number where that does not fit."""
    if not alerts:
        return Content("")
    named = ", ".join(f"{visible(run)}: {counted(count, 'alert')}" for run, count in alerts.items())
    text = named if len(named) + 5 <= room else counted(sum(alerts.values()), "alert")
    return Content.styled(f" ! {text} ", "$background on $warning bold").truncate(max(room, 0)) + Content(" ")


class KeyBar(ClickableLine):
    """The keys that work where the focus is, made from the active bindings, the most specific first."""

    def __init__(self) -> None:
        super().__init__(id="keys")

    def on_mount(self) -> None:
        """Redraws whenever the focus moves."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _screen: self.refresh())

    def shown(self) -> list[Binding]:
        """The bindings to show, each action once."""
        focused = self.screen.focused
        hides_key = getattr(self.screen, "hides_key", lambda _action: False)
        seen: set[str] = set()
        bindings = []
        for key, active in self.screen.active_bindings.items():
            name = active.binding.action.removeprefix("app.")
            if not active.binding.show or not active.enabled or name in seen:
                continue
            if name in CHANGING and is_read_only():
                continue
            if hides_key(name) or (focused is not None and _is_typed(focused, key)):
                continue
            seen.add(name)
            bindings.append(active.binding)
        return bindings

    def render(self) -> RenderResult:
        """The line. Keys that do not fit are left out, help and quit last."""
        shown = self.shown()
        last = [binding for binding in shown if binding.action.removeprefix("app.") in LAST_ACTIONS]
        first = [binding for binding in shown if binding not in last]
        width = self.size.width - 1 - sum(_width(binding) for binding in last)
        parts: list[str | tuple[str, str]] = [" "]
        self.spots, at = [], 1
        for binding in [*first, *last]:
            if binding in first and at + _width(binding) > width:
                continue
            keys = binding.key_display or binding.key
            self.spots.append(Spot(at, at + _width(binding) - 2, binding.key))
            parts += [(keys, "$primary bold"), f" {binding.description}  "]
            at += _width(binding)
        return Content.assemble(*parts)


def _width(binding: Binding) -> int:
    return len(binding.key_display or binding.key) + len(binding.description) + 3


def _is_typed(widget: Widget, key: str) -> bool:
    """Whether the key would type a character into the widget."""
    return widget.check_consume_key(key, _PRINTED.get(key) or key_to_character(key))


_PRINTED = {"slash": "/", "question_mark": "?", "full_stop": ".", "space": " ", "plus": "+", "minus": "-"}
