"""Overlays that show entries whole: the log of a run, its events. Searched, filtered by level, followed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Protocol

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input

from looptop.engine.text import visible
from looptop.tui.actions import bindings
from looptop.tui.background import in_thread
from looptop.tui.screens.base import Overlay
from looptop.tui.screens.watch import WatchLoop
from looptop.tui.text import safe
from looptop.tui.widgets.bars import KeyBar
from looptop.tui.widgets.entries import LEVEL_NAMES, Entry, counts, counts_text
from looptop.tui.widgets.entry_list import EntryList
from looptop.tui.widgets.field import Field


class EntrySource(Protocol):
    """Where the entries of an overlay come from."""

    id: str
    """The overlay's id, by which its help is known."""
    title: str
    """What the entries are."""
    empty: str
    """What is shown if there are none."""

    @property
    def note(self) -> str:
        """What the head says besides the entries' counts, after a reading; empty for nothing."""
        ...

    @property
    def is_whole(self) -> bool:
        """Whether the last reading was of all entries; if not, the next one follows immediately."""
        ...

    def read(self) -> Sequence[Entry]:
        """All entries; the same object, or an equal one, if nothing has changed. Called in a thread.

        Raises:
            LooptopError: They cannot be read.
        """
        ...


class Entries(Overlay[None]):
    """Entries that are read again and again.

    Args:
        source: Where they come from.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("entries")]
    KEY_CONTEXTS: ClassVar[tuple[str, ...]] = ("entries",)

    def __init__(self, source: EntrySource) -> None:
        super().__init__(id=source.id)
        self._source = source
        self._shown: Sequence[Entry] | None = None
        self._loop = WatchLoop(self, self._read, self._show_error)

    def compose(self) -> Iterable[Widget]:
        """The entries, and a field for what is searched for."""
        with Vertical(classes="box -entries") as box:
            box.border_title = safe(self._source.title)
            yield EntryList(self._source.empty, id="entries")
            field = Field(
                placeholder="type words, enter searches; then n and N go through the matches", id="entries-search"
            )
            field.display = False
            yield field
        yield KeyBar()

    @property
    def _list(self) -> EntryList:
        return self.query_one(EntryList)

    def on_mount(self) -> None:
        """Starts to read."""
        self._list.focus()
        self._loop.start()

    async def _read(self) -> bool:
        self._show(await in_thread(self._source.read))
        if not self._source.is_whole:
            self._loop.poke()
        return True

    def _show_error(self, sentence: str) -> None:
        if sentence:
            self._show([Entry(visible(sentence), "error")])

    def _show(self, entries: Sequence[Entry]) -> None:
        if self._shown is None or entries != self._shown:
            self._shown = entries
            self._list.show(entries)

    @on(EntryList.Changed)
    def _show_head(self) -> None:
        entries = self._list
        counted = counts_text(*counts(entries.entries))
        box = self.query_one(".box")
        box.border_title = safe(
            ": ".join(filter(None, (self._source.title, ", ".join(filter(None, (counted, self._source.note))))))
        )
        words = [LEVEL_NAMES[entries.level]]
        if entries.words:
            at = f"{entries.match + 1:,} of " if entries.match >= 0 else ""
            words.append(f"'{entries.words}': {at}{len(entries.matches):,}" if entries.matches else "not found")
        words.append("followed" if entries.follow else "not followed")
        box.border_subtitle = Content(" · ").join(safe(word) for word in words)

    def action_follow(self) -> None:
        """Follows the end, or stops following it."""
        self._list.set_follow(not self._list.follow)

    def action_level(self) -> None:
        """Shows all levels, warnings and errors, or errors."""
        self._list.next_level()

    def action_search(self) -> None:
        """Shows the field for what is searched for."""
        field = self.query_one("#entries-search", Field)
        field.display = True
        field.focus()

    def action_turn(self, by: int) -> None:
        """Goes to the next or the previous entry that was found."""
        self._list.turn(by)

    def action_leave_or_close(self) -> None:
        """Leaves the field, if it has the focus; else closes the overlay."""
        if self.query_one("#entries-search", Field).has_focus:
            self._leave_field()
        else:
            self.dismiss(None)

    @on(Input.Submitted, "#entries-search")
    def _search(self, event: Input.Submitted) -> None:
        self._list.search(event.value.strip())
        self._leave_field()

    def _leave_field(self) -> None:
        field = self.query_one("#entries-search", Field)
        field.display = bool(field.value)
        self._list.focus()
