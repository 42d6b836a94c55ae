"""The earlier questions and their answers, of this session and of older ones, the newest first."""

from __future__ import annotations

import asyncio
from array import array
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Input

from looptop.engine.errors import LooptopError
from looptop.engine.text import visible_answer
from looptop.tui.actions import bindings
from looptop.tui.ask.answers.kept_answers import mark_of, stamped
from looptop.tui.background import in_thread, work
from looptop.tui.text import probability, safe
from looptop.tui.widgets.field import Field
from looptop.tui.widgets.table import Cell, Column, Row, Table

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import ComposeResult

    from looptop.engine.asked.questions import AskedQuestions
    from looptop.engine.asked.records import Entry
    from looptop.engine.filters.vocabulary import Filter

TITLE = "Earlier questions"
EMPTY = "Questions that you have asked stay here."

PAGE = 64
"""Rows that are read at once."""
MOST_KEPT_ROWS = 2048


HINT = 'filter:  model:vqa-3  image:cat.png  wrong  confidence<0.5  "some words"'

COLUMNS = (
    Column("mark", "", 2, text=True),
    Column("answer", "answer", 10, text=True),
    Column("confidence", "confidence", 6),
    Column("question", "question", 20, least=12, text=True),
    Column("image", "image", 12, text=True),
    Column("model", "model", 14, text=True),
)
NARROW_COLUMNS = (
    Column("mark", "", 2, text=True),
    Column("answer", "answer", 9, text=True),
    Column("confidence", "confidence", 6),
    Column("question", "question", 12, least=8, text=True),
    Column("image", "image", 8, text=True),
    Column("model", "model", 8, text=True),
)
"""The columns of a list of less than `MIN_WIDTH` cells."""
MIN_WIDTH = 64


class HistoryFilter(Field):
    """The field in which the questions are filtered; esc closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("history-filter")]

    class Closed(Message):
        """The filter is to be closed."""

    def __init__(self) -> None:
        super().__init__(placeholder=HINT, id="history-filter")

    def action_close_filter(self) -> None:
        """Closes the filter."""
        self.post_message(self.Closed())


class HistoryTable(Table):
    """One line for each question; enter shows its answer again."""

    HEADER_HEIGHT = 0
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("history")]

    DEFAULT_CSS = """
    HistoryTable {
        height: 1fr;
        scrollbar-size-vertical: 1;
    }
    """

    is_filtered: reactive[bool] = reactive(False, repaint=False, bindings=True)
    """Whether a filter is open."""

    class FilterOpened(Message):
        """The filter is to be opened."""

    class FilterClosed(Message):
        """The filter is to be closed."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Esc closes a filter if there is one."""
        return self.is_filtered if action == "clear_filter" else super().check_action(action, parameters)

    def action_search(self) -> None:
        """Opens the filter."""
        self.post_message(self.FilterOpened())

    def action_clear_filter(self) -> None:
        """Closes the filter."""
        self.post_message(self.FilterClosed())


class History(Vertical):
    """The list of earlier questions, with a filter. Only the rows on the screen are read from the disk."""

    @dataclass
    class Chosen(Message):
        """An earlier answer was chosen."""

        entry: Entry

    @dataclass
    class Kept(Message):
        """A question and its answer are in the list, and have their number."""

        entry: Entry

    @dataclass
    class Loaded(Message):
        """The questions of older sessions are known."""

        questions: list[str]
        """The newest questions, the newest first."""

    DEFAULT_CSS = """
    #history-filter {
        border: none;
        height: 1;
        padding: 0;
    }
    """

    def __init__(self) -> None:
        super().__init__(id="history")
        self.border_title = TITLE
        self._asked: AskedQuestions | None = None
        self._ids: array[int] = array("q")
        self._rows: OrderedDict[int, Entry] = OrderedDict()
        self._wanted: set[int] = set()
        self._filter: Filter[Entry] | None = None
        self._searches = 0
        self._order = asyncio.Lock()
        """Held while `_ids` changes, so that a new question is not lost between two readings."""
        self._told_trouble = False

    def compose(self) -> ComposeResult:
        """The list; the filter is added when it is first used."""
        table = HistoryTable(COLUMNS, id="history-table")
        table.empty_text = EMPTY
        yield table

    @property
    def table(self) -> HistoryTable:
        """The list."""
        return self.query_one(HistoryTable)

    @property
    def asked(self) -> AskedQuestions:
        """All kept questions."""
        if self._asked is None:
            from looptop.engine.asked.questions import AskedQuestions

            self._asked = AskedQuestions()
        return self._asked

    @property
    def unwritten(self) -> int:
        """How many questions would be lost by leaving, since they cannot be written."""
        return 0 if self._asked is None or not self._asked.trouble else sum(each < 0 for each in self._ids)

    @property
    def entry(self) -> Entry | None:
        """The question under the cursor, if it has been read."""
        cursor = self.table.cursor
        return self._rows.get(self._ids[cursor]) if cursor < len(self._ids) else None

    @property
    def _columns(self) -> tuple[Column, ...]:
        return COLUMNS if self.size.width >= MIN_WIDTH else NARROW_COLUMNS

    def on_resize(self) -> None:
        """Fits the columns."""
        self.table.fill(len(self._ids), self._cells, columns=self._columns)

    # What is in the list.

    def load(self) -> None:
        """Reads the questions of older sessions."""
        work(self, self._load(), "history")

    async def _load(self) -> None:
        await self._search()
        entries = await in_thread(lambda: self.asked.entries(self._ids[:PAGE]))
        questions = [entries[each].question for each in self._ids[:PAGE] if each in entries]
        self.post_message(self.Loaded(list(dict.fromkeys(questions))))

    def add(self, entry: Entry) -> None:
        """Keeps a question and its answer, and shows it at the top."""
        work(self, self._add(entry), "history")

    async def _add(self, entry: Entry) -> None:
        (kept,) = await in_thread(lambda: self.asked.add([stamped(entry)]))
        async with self._order:
            if kept.id not in self._ids[:PAGE] and (self._filter is None or self._filter.holds(kept)):
                self._ids.insert(0, kept.id)
            self._remember({kept.id: kept})
            self._fill(0)
        self.post_message(self.Kept(kept))
        self._tell_trouble()

    def replace(self, entry: Entry) -> None:
        """Shows a changed entry."""
        self._remember({entry.id: entry})
        self.table.refresh()

    async def _search(self) -> None:
        """Reads which questions the filter accepts; a newer search ends an older one."""
        self._searches += 1
        number, chosen = self._searches, self._filter
        async with self._order:
            ids = await in_thread(lambda: self.asked.ids(chosen, lambda: number != self._searches))
            if number == self._searches:
                self._ids = ids
                self._fill(0)
        self._tell_trouble()

    def _fill(self, cursor: int) -> None:
        self.table.fill(len(self._ids), self._cells, columns=self._columns, cursor=cursor)
        count = f"{len(self._ids):,}"
        if self._filter is not None:
            self.border_title = safe(f"{TITLE}: {count} of these")
        else:
            self.border_title = safe(f"{TITLE} · {count}" if self._ids else TITLE)

    def _tell_trouble(self) -> None:
        if self.asked.trouble and not self._told_trouble:
            self._told_trouble = True
            self.app.notify(safe(self.asked.trouble).plain, severity="warning", markup=False, timeout=15)

    # Rows.

    def _cells(self, row: int) -> Row | None:
        entry = self._rows.get(self._ids[row])
        if entry is None:
            self._want(row)
            return None
        mark, style = mark_of(entry)
        return [
            Cell(mark, style),
            Cell(visible_answer(entry.answer.answer), "bold"),
            Cell(probability(entry.answer.confidence)),
            Cell(entry.question),
            Cell(entry.image.name, "muted"),
            Cell(entry.answer.model, "muted"),
        ]

    def _want(self, row: int) -> None:
        page = row // PAGE
        if page not in self._wanted:
            self._wanted.add(page)
            work(self, self._read_page(page), "history page")

    async def _read_page(self, page: int) -> None:
        ids = self._ids[page * PAGE : (page + 1) * PAGE]
        self._remember(await in_thread(lambda: self.asked.entries(ids)))
        self._wanted.discard(page)
        self.table.refresh()

    def _remember(self, entries: dict[int, Entry]) -> None:
        self._rows |= entries
        while len(self._rows) > MOST_KEPT_ROWS:
            self._rows.popitem(last=False)

    @on(Table.Chosen)
    def _chosen(self, event: Table.Chosen) -> None:
        event.stop()
        if (entry := self.entry) is not None:
            self.post_message(self.Chosen(entry))

    @on(Table.Moved)
    def _moved(self, event: Table.Moved) -> None:
        event.stop()

    # The filter.

    @on(HistoryTable.FilterOpened)
    def open_filter(self) -> None:
        """Shows the filter and puts the focus there."""
        self._mount_filter().focus()

    def show_image(self, image: Path) -> None:
        """Shows only the questions about an image, or all again if it does that already; puts the focus there."""
        from looptop.engine.asked.entry_filter import about_image

        field, text = self._mount_filter(), about_image(image.absolute())
        self._set_filter("" if field.value == text else text)
        # The image's name is at the end.
        self.call_after_refresh(lambda: field.scroll_to(x=field.max_scroll_x, animate=False, force=True))

    @on(HistoryTable.FilterClosed)
    @on(HistoryFilter.Closed)
    def close_filter(self) -> None:
        """Shows all questions again; puts the focus there."""
        self._set_filter("")

    def _set_filter(self, text: str) -> None:
        field = self._mount_filter()
        with field.prevent(Input.Changed):
            field.value = text
        self._apply(text)
        self._show_filter(bool(text))
        self.table.focus()

    def _mount_filter(self) -> HistoryFilter:
        if not self.query(HistoryFilter):
            self.mount(HistoryFilter(), before=0)
        self._show_filter(True)
        return self.query_one(HistoryFilter)

    def _show_filter(self, shows: bool) -> None:
        self.query_one(HistoryFilter).display = self.table.is_filtered = shows

    @on(Input.Changed, "#history-filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._apply(event.value)

    def _apply(self, text: str) -> None:
        from looptop.engine.asked.entry_filter import parse

        try:
            self._filter = parse(text) if text.strip() else None
        except LooptopError as error:
            self.border_subtitle = safe(error, "$text-error")
            return
        self.border_subtitle = ""
        self.table.empty_text = "no question matches" if self._filter is not None else EMPTY
        work(self, self._search(), "history search")

    @on(Input.Submitted, "#history-filter")
    def _filter_done(self, event: Input.Submitted) -> None:
        event.stop()
        self.table.focus()
        self._show_filter(bool(event.value.strip()))

    # All of them.

    async def chosen(self) -> Iterable[Entry]:
        """All questions that the filter accepts, the newest first. They are read while they are taken: in a thread."""
        return self.asked.each(self._ids[:]) if self._ids else ()
