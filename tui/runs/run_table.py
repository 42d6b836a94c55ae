"""The list of runs: only the lines on the screen are drawn, so thousands scroll like ten."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from looptop.engine.journal.records import RunState, RunSummary, state_text
from looptop.engine.runs.headline import progress, took
from looptop.engine.times import local_time
from looptop.tui.actions import bindings
from looptop.tui.run_text import MARKS, WITH_ALERTS, figure_text
from looptop.tui.text import cell, duration

if TYPE_CHECKING:
    from textual.events import Click


@dataclass(frozen=True)
class Column:
    """A column."""

    key: str
    """What it is sorted by."""
    title: str
    width: int
    """Cells; the last column has what is left."""
    from_width: int = 0
    """It is shown where the list has so many cells."""


COLUMNS = (
    Column("id", "run", 14),
    Column("kind", "kind", 12, 150),
    Column("state", "state", 14),
    Column("progress", "done", 6),
    Column("headline", "figure", 22),
    Column("started", "started", 12, 96),
    Column("took", "took", 13, 110),
    Column("device", "device", 20, 130),
    Column("note", "title, note", 0),
)
_ALERTS_WIDTH = len("! finished, with alerts")
_STATE_CLASS = {
    RunState.RUNNING: "runs--good",
    RunState.PAUSED: "runs--warning",
    RunState.STOPPED: "runs--warning",
    RunState.FAILED: "runs--bad",
    RunState.INTERRUPTED: "runs--bad",
    RunState.FINISHED: "runs--done",
    RunState.CREATED: "runs--muted",
}


class RunTable(ScrollView, can_focus=True):
    """Runs, a line each; the line at the top stays."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"runs--cursor", "runs--header", "runs--muted", *_STATE_CLASS.values()}
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("runs-list", "rows")]

    cursor: reactive[int] = reactive(0, repaint=False, init=False)

    @dataclass
    class Opened(Message):
        """Enter was pressed on a run."""

        run_id: str

    @dataclass
    class Moved(Message):
        """Another run is under the cursor, or others are selected."""

    @dataclass
    class SortedBy(Message):
        """A column's title was clicked."""

        key: str

    def __init__(self) -> None:
        super().__init__(id="run-table")
        self._rows: Sequence[RunSummary] = ()
        self.selected: dict[str, None] = {}
        """The runs that were marked, in the order in which they were."""
        self._sort = ("created", True)
        self._any_alerts = False
        self.empty = ""
        """What to say where there are none."""

    def fill(self, rows: Sequence[RunSummary], sort: tuple[str, bool], empty: str) -> None:
        """Shows these runs; the cursor stays on the one it is on.

        Args:
            rows: In their order.
            sort: By what they are sorted, and whether backwards.
            empty: What to say where there are none.
        """
        if (rows, sort, empty) == (self._rows, self._sort, self.empty):
            return
        here, before = self.here, self._rows
        at = self.cursor
        self._rows, self._sort, self.empty = rows, sort, empty
        had_alerts, self._any_alerts = self._any_alerts, any(map(_with_alerts, rows))
        self.virtual_size = Size(0, len(rows) + 1)
        ids = [row.id for row in rows]
        if here is not None:
            at = ids.index(here.id) if here.id in ids else min(at, max(0, len(ids) - 1))
        self.set_reactive(RunTable.cursor, at)
        self._reveal()
        same_columns = had_alerts == self._any_alerts
        if same_columns and len(before) == len(rows) and here is not None and ids == [row.id for row in before]:
            for y, (old, new) in enumerate(zip(before, rows, strict=True)):
                if old != new:
                    self._draw(y)
            return
        self.refresh()
        if self.here is None or here is None or self.here.id != here.id:
            self.post_message(self.Moved())

    @property
    def here(self) -> RunSummary | None:
        """The run under the cursor."""
        return self._rows[self.cursor] if 0 <= self.cursor < len(self._rows) else None

    @property
    def rows(self) -> Sequence[RunSummary]:
        """The runs that are shown."""
        return self._rows

    def validate_cursor(self, cursor: int) -> int:
        """Keeps it on a line."""
        return max(0, min(cursor, len(self._rows) - 1))

    def watch_cursor(self, before: int, now: int) -> None:
        """Shows the line."""
        self._reveal()
        self._draw(before)
        self._draw(now)
        self.post_message(self.Moved())

    def action_move(self, rows: int) -> None:
        """Moves the cursor."""
        self.cursor += rows

    def action_page(self, pages: int) -> None:
        """Moves the cursor by what is seen."""
        self.cursor += pages * max(1, self.size.height - 2)

    def action_end(self, last: bool) -> None:
        """Moves the cursor to the first or last line."""
        self.cursor = len(self._rows) - 1 if last else 0

    def action_open(self) -> None:
        """Opens the run."""
        if self.here is not None:
            self.post_message(self.Opened(self.here.id))

    def action_select(self) -> None:
        """Marks the run for a comparison, or takes the mark away; the cursor moves on."""
        if self.here is None:
            return
        if self.here.id in self.selected:
            del self.selected[self.here.id]
        else:
            self.selected[self.here.id] = None
        self._draw(self.cursor)
        self.cursor += 1
        self.post_message(self.Moved())

    def on_click(self, event: Click) -> None:
        """Moves the cursor; twice opens; a column's title sorts."""
        if event.y == 0:
            at = 2
            for column, width in self._columns():
                if at <= event.x < at + width + 1:
                    self.post_message(self.SortedBy(column.key))
                at += width + 1
            return
        self.cursor = event.y - 1 + self.scroll_offset.y
        if event.chain == 2:
            self.action_open()

    # Drawing.

    def render_line(self, y: int) -> Strip:
        """A line."""
        width = self.size.width
        if y == 0:
            return self._header(width)
        row = y - 1 + self.scroll_offset.y
        muted = self.get_component_rich_style("runs--muted")
        if row >= len(self._rows):
            said = f"  {self.empty}" if not self._rows and y == 1 else ""
            return Strip([Segment(cell(said, width).plain, muted)]).adjust_cell_length(width, self.rich_style)
        summary, here = self._rows[row], row == self.cursor
        base = self.get_component_rich_style("runs--cursor") if here else self.rich_style
        mark = "●" if summary.id in self.selected else "▌" if here else " "
        segments = [Segment(f"{mark} ", base)]
        for column, wide in self._columns():
            style = base
            if column.key == "state":
                name = "runs--warning" if _with_alerts(summary) else _STATE_CLASS[summary.state]
                style = base + self._partial(name)
            elif column.key in ("kind", "started", "took", "device"):
                style = base + self._partial("runs--muted")
            segments.append(Segment(cell(_said(summary, column.key), wide).plain + " ", style))
        return Strip(segments).adjust_cell_length(width, base)

    def _partial(self, name: str) -> Style:
        return self.get_component_rich_style(name, partial=True)

    def _header(self, width: int) -> Strip:
        style = self.get_component_rich_style("runs--header")
        parts = ["  "]
        for column, wide in self._columns():
            arrow = ("▼" if self._sort[1] else "▲") if column.key == self._sort[0] else ""
            parts.append(cell(f"{column.title}{arrow}", wide).plain + " ")
        return Strip([Segment("".join(parts), style)]).adjust_cell_length(width, style)

    def _columns(self) -> list[tuple[Column, int]]:
        width = self.size.width
        shown = [column for column in COLUMNS if width >= column.from_width]
        if self._any_alerts:
            shown = [replace(column, width=_ALERTS_WIDTH) if column.key == "state" else column for column in shown]
        rest = width - 3 - sum(column.width + 1 for column in shown[:-1])
        return [(column, column.width or max(8, rest)) for column in shown]

    def _draw(self, row: int) -> None:
        y = row + 1 - self.scroll_offset.y
        if 0 < y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def _reveal(self) -> None:
        seen = self.size.height - 1
        if seen <= 0:
            return
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True)
        elif self.cursor >= top + seen:
            self.scroll_to(y=self.cursor - seen + 1, animate=False, immediate=True)


def _with_alerts(summary: RunSummary) -> bool:
    return summary.state is RunState.FINISHED and summary.alerts > 0


def _said(summary: RunSummary, key: str) -> str:
    match key:
        case "id":
            return summary.id
        case "kind":
            return summary.kind
        case "state":
            where = "~" if summary.live == "heartbeat" else ""
            mark = WITH_ALERTS if _with_alerts(summary) else MARKS[summary.state]
            return f"{mark} {state_text(summary.state, summary.alerts)}{where}"
        case "progress":
            done = progress(summary)
            return "" if done is None else f"{100 * done:3.0f} %"
        case "headline":
            return figure_text(summary)
        case "started":
            return "" if summary.started is None else _moment(summary.started)
        case "took":
            seconds = took(summary)
            return "" if seconds is None else duration(seconds)
        case "device":
            return summary.device
        case _:
            where = f"by the heartbeat of {summary.host}" if summary.live == "heartbeat" else ""
            trouble = f"! {summary.trouble}" if summary.trouble else ""
            held = summary.reason if summary.state is RunState.PAUSED else ""
            words = (where, trouble, held, summary.title, summary.note)
            return " · ".join(" ".join(text.split()) for text in words if text)


def _moment(seconds: float) -> str:
    """When it was: the hour of today, else the day."""
    now = time.time()
    if local_time(seconds, "%Y-%m-%d") == local_time(now, "%Y-%m-%d"):
        return local_time(seconds, "%H:%M")
    this_year = local_time(seconds, "%Y") == local_time(now, "%Y")
    return local_time(seconds, "%d %b %H:%M" if this_year else "%d %b %Y")
