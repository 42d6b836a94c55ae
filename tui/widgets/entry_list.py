"""A list of log entries, each shown whole: it can be scrolled, searched and filtered by level."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from looptop.tui.background import in_thread, work
from looptop.tui.widgets.entries import LEVELS, Entry, Line, lines_of, matches, pattern_of
from looptop.tui.widgets.style_cache import StyleCache

if TYPE_CHECKING:
    from textual.events import Resize


class EntryList(StyleCache, ScrollView, can_focus=True):
    """The lines of entries. Lines are wrapped and searched in threads; only those on the screen are drawn."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "entry-list--stamp",
        "entry-list--warning",
        "entry-list--error",
        "entry-list--match",
        "entry-list--words",
        "entry-list--empty",
    }

    class Changed(Message):
        """The entries, the level, the matches, or whether the end is followed, have changed."""

    def __init__(self, empty: str, *, id: str) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id)
        self.entries: Sequence[Entry] = ()
        self.follow = True
        """Whether it stays at the end when entries are added."""
        self.words = ""
        """What is searched for."""
        self.matches: list[int] = []
        """The entries that contain the words, as they were typed."""
        self.match = -1
        """The index in `matches` of the one that was gone to; -1 if none was."""
        self._empty = empty
        self._level = 0
        self._stale = self._working = self._to_match = False
        """Whether the lines must be made again; whether that is being done; whether to go to a match then."""
        self._lines: list[Line] = []
        self._width = 0
        self._shown: Sequence[Entry] = ()
        """The entries that the lines are of."""
        self._drawn_for: tuple[int, int] = (0, 0)
        """The width and the level of the lines."""

    @property
    def level(self) -> int:
        """The index in `LEVELS` of the least level that is shown."""
        return self._level

    def show(self, entries: Sequence[Entry]) -> None:
        """Takes the whole new list: the old entries, of which only the last may have changed, and more; or a list that
        begins with another entry.
        """
        self.entries = entries
        self._renew()

    def set_follow(self, follow: bool) -> None:
        """Stays at the end from now on, or where it is."""
        self.follow = follow
        if follow:
            self.scroll_end(animate=False)
        self.post_message(self.Changed())

    def next_level(self) -> None:
        """Shows more serious entries only; after errors all again."""
        self._level = (self._level + 1) % len(LEVELS)
        self._renew()

    def search(self, words: str) -> None:
        """Searches for words, and goes to the last entry that contains them."""
        self.words, self.match = words, -1
        self._renew(to_match=True)

    def turn(self, by: int) -> None:
        """Goes to the next or an earlier entry that contains the words."""
        if self.matches:
            self.match = (self.match + by) % len(self.matches)
            self._reveal_match()
            self.post_message(self.Changed())

    def on_resize(self, _event: Resize) -> None:
        """Wraps the lines to the new width."""
        # Kept, because a widget has no size while a layout is due.
        self._width = self.scrollable_content_region.width or self._width
        self._renew()

    def _renew(self, *, to_match: bool = False) -> None:
        """Wraps and searches again; if that is being done, once more when it is done."""
        self._to_match = self._to_match or to_match
        self._stale = True
        if not self._working and self._width:
            self._working = True
            work(self, self._work(), "entries")

    async def _work(self) -> None:
        try:
            while self._stale:
                self._stale = False
                await self._wrap_and_search()
        finally:
            self._working = False

    async def _wrap_and_search(self) -> None:
        to_match, self._to_match = self._to_match, False
        entries, width = self.entries, self._width
        level, words = LEVELS[self._level], self.words
        top = self._lines[self.scroll_offset.y].entry if self.scroll_offset.y < len(self._lines) else 0
        same, shown = self._drawn_for == (width, self._level), self._shown
        if same and self._lines and self.scroll_offset.y < self.max_scroll_y:
            self.follow = False  # the person has scrolled up
        # Only what was added is wrapped. The last entry may have been a line that was not complete yet.
        start = max(0, len(shown) - 1)
        if not same or len(entries) < len(shown) or entries[: min(start, 1)] != shown[: min(start, 1)]:
            start = 0
        lines, matching = await in_thread(
            lambda: (
                lines_of(entries, width, level, start),
                matches(entries, pattern_of(words), level) if words else [],
            )
        )
        kept = self._lines if start else []
        while kept and kept[-1].entry >= start:
            kept.pop()
        kept += lines
        self._lines, self._shown, self._drawn_for, self.matches = kept, entries, (width, self._level), matching
        if to_match or self.match >= len(matching):
            self.match = len(matching) - 1
        self.virtual_size = Size(width, max(len(kept), 1))
        if to_match and matching:
            self._reveal_match()
        elif self.follow:
            self.call_after_refresh(self.scroll_end, animate=False)
        elif not same:
            self._scroll_to_entry(top, 0)
        self.refresh()
        self.post_message(self.Changed())

    def _reveal_match(self) -> None:
        self.follow = False
        self._scroll_to_entry(self.matches[self.match], self.size.height // 3)
        self.refresh()

    def _scroll_to_entry(self, entry: int, above: int) -> None:
        row = next((row for row, line in enumerate(self._lines) if line.entry >= entry), len(self._lines))
        self.scroll_to(y=max(0, row - above), animate=False, immediate=True)

    def render_line(self, y: int) -> Strip:
        """One line of an entry."""
        width, row = self.size.width, y + self.scroll_offset.y
        base = self.base_style
        if row >= len(self._lines):
            empty = self._empty if not self._shown else "nothing at this level or above"
            text = empty if not self._lines and y == 0 else ""
            style = base + self.get_component_rich_style("entry-list--empty", partial=True)
            return Strip([Segment(text, style)]).adjust_cell_length(width, base)
        line = self._lines[row]
        entry = self._shown[line.entry]
        segments = []
        if entry.stamp:
            stamp = entry.stamp if line.first else ""
            style = base + self.get_component_rich_style("entry-list--stamp", partial=True)
            segments.append(Segment(f"{stamp:<{len(entry.stamp)}} ", style))
        is_match = self.match >= 0 and self.matches[self.match] == line.entry
        style = self.get_component_rich_style("entry-list--match") if is_match else base
        if entry.level in LEVELS[1:]:
            style += self.get_component_rich_style(f"entry-list--{entry.level}", partial=True)
        segments += self._with_words(line.text, style)
        return Strip(segments).adjust_cell_length(width, base)

    def _with_words(self, text: str, style: Style) -> Iterable[Segment]:
        """The text, with the words that are searched for marked."""
        end = 0
        for part in pattern_of(self.words).finditer(text) if self.words else ():
            yield Segment(text[end : part.start()], style)
            yield Segment(part[0], style + self.get_component_rich_style("entry-list--words", partial=True))
            end = part.end()
        yield Segment(text[end:], style)
