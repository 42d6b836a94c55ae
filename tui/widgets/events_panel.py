"""The last events of a run, wrapped; enter opens all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.message import Message

from looptop.engine.journal.reader import Event
from looptop.engine.text import visible
from looptop.engine.times import local_time
from looptop.tui.actions import bindings
from looptop.tui.widgets.entries import Entry, Line, counts, counts_text, lines_of
from looptop.tui.widgets.panel import Panel

STYLES = {"warning": "$text-warning", "error": "$text-error"}
"""The styles of levels."""
MARKS = {"warning": "!", "error": "✗"}
"""The marks of levels, for terminals without colours."""


class EventsPanel(Panel, can_focus=True):
    """The last events, the newest at the bottom, and how many of them are warnings and errors."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("events")]

    class Opened(Message):
        """All events are to be shown."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.border_title = "Events"
        self._entries: Sequence[Entry] = ()
        self.counts = ""
        """The number of warnings and errors; empty if there are none."""

    def show_events(self, events: Sequence[Event]) -> None:
        """Shows the last of a run's events."""
        self.show_entries([entry_of(event) for event in events if not event.superseded])

    def show_entries(self, entries: Sequence[Entry]) -> None:
        """Shows the last of these entries."""
        self.counts = counts_text(*counts(entries))
        title = f"Events: {self.counts}" if self.counts else "Events"
        if self.border_title != title:
            self.border_title = title
        self._entries = entries
        self._draw()

    def on_resize(self) -> None:
        """Fits the lines to the new size."""
        self._draw()

    def _draw(self) -> None:
        size = self.content_size
        if size.height:
            self.show(last_lines(self._entries, size.width, size.height))

    def action_open(self) -> None:
        """Asks for all events."""
        self.post_message(self.Opened())

    def on_click(self) -> None:
        """Opens all events, as enter does."""
        self.action_open()


def entry_of(event: Event, run: str = "") -> Entry:
    """An event as an entry.

    Args:
        event: The event.
        run: The run's id, if events of several runs are shown.
    """
    stamp = f"{local_time(event.time, '%H:%M:%S'):<8}{f' {visible(run)}' if run else ''} {MARKS.get(event.level, ' ')}"
    level = event.level if event.level in MARKS else "info"
    return Entry(visible(" ".join(event.text.splitlines())), level, stamp)


def last_lines(entries: Sequence[Entry], width: int, height: int) -> Content:
    """The last entries that fit, the newest at the bottom; the first of them may be cut, with an ellipsis."""
    if not entries:
        return Content.styled("nothing yet", "$text-muted")
    recent = entries[-height:]
    shown: list[Content] = []
    for entry in reversed(recent):
        lines = lines_of([entry], max(width, 10))
        room = height - len(shown)
        drawn = [_drawn(entry, line) for line in lines[:room]]
        if len(lines) > room > 0:
            drawn[-1] = drawn[-1].truncate(max(width, 10) - 2) + Content(" …")
        shown = [*drawn, *shown]
        if len(shown) >= height:
            break
    return Content("\n").join(shown)


def _drawn(entry: Entry, line: Line) -> Content:
    stamp = entry.stamp if line.first else " " * len(entry.stamp)
    return Content.styled(f"{stamp} ", "$text-muted") + Content.styled(line.text, STYLES.get(entry.level, ""))
