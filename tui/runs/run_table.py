"""The list of runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType

from looptop.engine.journal.records import RunState, RunSummary
from looptop.engine.runs.listing import progress, took
from looptop.engine.text import counted
from looptop.engine.times import local_time
from looptop.tui.actions import bindings
from looptop.tui.run_text import figure_text, state_mark
from looptop.tui.text import duration
from looptop.tui.widgets.table import Cell, Column, Row, Table

COLUMNS = (
    Column("mark", "", 1, text=True),
    Column("id", "run", 14, text=True),
    Column("kind", "kind", 12, text=True, from_width=150),
    Column("state", "state", 14, text=True),
    Column("progress", "done", 6, text=True),
    Column("headline", "figure", 22, text=True),
    Column("started", "started", 12, text=True, from_width=96),
    Column("took", "took", 13, text=True, from_width=110),
    Column("device", "device", 20, text=True, from_width=130),
    Column("note", "title, note", 8, least=8, text=True),
)
"""A column's key is the name to sort by."""
MAX_FIGURE_WIDTH = 30
"""The most cells of a figure: the names of somebody else's metrics can be long."""
MUTED_COLUMNS = ("kind", "started", "took", "device")
STATE_STYLES = {
    RunState.RUNNING: "good",
    RunState.PAUSED: "warn",
    RunState.STOPPED: "warn",
    RunState.FAILED: "bad",
    RunState.INTERRUPTED: "bad",
    RunState.FINISHED: "primary",
    RunState.CREATED: "muted",
    RunState.QUEUED: "accent",
}


class RunTable(Table):
    """A table with a line for each run; runs can be selected."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("runs-list")]

    def __init__(self) -> None:
        super().__init__(COLUMNS, id="run-table")
        self.selected: dict[str, None] = {}
        """The ids of the selected runs, in the order in which they were selected."""
        self._runs: Sequence[RunSummary] = ()

    def show(self, runs: Sequence[RunSummary], row_order: tuple[str, bool], empty_text: str) -> None:
        """Replaces the runs; the cursor stays on its run.

        Args:
            runs: The runs, in order.
            row_order: The key that they are sorted by, and whether in reverse.
            empty_text: The text of a table without runs.
        """
        if (runs, row_order, empty_text) == (self._runs, self.row_order, self.empty_text):
            return
        before, run_before = self._runs, self.run
        same_order = row_order == self.row_order
        self._runs, self.row_order, self.empty_text = runs, row_order, empty_text
        columns = _columns(runs)
        ids = [run.id for run in runs]
        if same_order and columns == self.columns and ids and ids == [run.id for run in before]:
            for row, (old, new) in enumerate(zip(before, runs, strict=True)):
                if old != new:
                    self.refresh_row(row)
            return
        cursor = ids.index(run_before.id) if run_before is not None and run_before.id in ids else None
        self.fill(len(runs), self._cells, columns=columns, cursor=cursor)
        if self.run is None or run_before is None or self.run.id != run_before.id:
            self.post_message(self.Moved(self, self.cursor))

    @property
    def run(self) -> RunSummary | None:
        """The run under the cursor."""
        return self._runs[self.cursor] if self.cursor < len(self._runs) else None

    @property
    def runs(self) -> Sequence[RunSummary]:
        """The runs in the table."""
        return self._runs

    def action_select(self) -> None:
        """Selects or deselects the run; the cursor moves down."""
        if self.run is None:
            return
        if self.run.id in self.selected:
            del self.selected[self.run.id]
        else:
            self.selected[self.run.id] = None
        self.refresh_row(self.cursor)
        self.cursor += 1
        self.post_message(self.Moved(self, self.cursor))

    def _cells(self, row: int) -> Row:
        run = self._runs[row]
        cells = []
        for column in self.columns:
            style = "muted" if column.key in MUTED_COLUMNS else ""
            if column.key == "mark":
                text = "●" if run.id in self.selected else "▌" if row == self.cursor else " "
            elif column.key == "state":
                text, style = _state_text(run), "warn" if run.alerts else STATE_STYLES[run.state]
            else:
                text = _text(run, column.key)
            cells.append(Cell(text, style))
        return cells


def _columns(runs: Sequence[RunSummary]) -> tuple[Column, ...]:
    """The columns: state and figure are as wide as these runs need."""
    widths = {
        "state": max((len(_state_text(run)) for run in runs if run.alerts), default=0),
        "headline": min(MAX_FIGURE_WIDTH, max((len(figure_text(run)) for run in runs), default=0)),
    }
    return tuple(replace(column, width=max(column.width, widths.get(column.key, 0))) for column in COLUMNS)


def _state_text(run: RunSummary) -> str:
    heartbeat_mark = "~" if run.is_live_elsewhere else ""
    alerts = f", {counted(run.alerts, 'alert')}" if run.alerts else ""
    return f"{state_mark(run.state, run.alerts)} {run.state.value}{heartbeat_mark}{alerts}"


def _text(run: RunSummary, key: str) -> str:
    match key:
        case "id":
            return run.id
        case "kind":
            return run.kind
        case "progress":
            done = progress(run)
            return "" if done is None else f"{100 * done:3.0f} %"
        case "headline":
            return figure_text(run)
        case "started":
            return "" if run.started is None else _moment(run.started)
        case "took":
            seconds = took(run)
            return "" if seconds is None else duration(seconds)
        case "device":
            return run.device
    host = f"by the heartbeat of {run.host}" if run.is_live_elsewhere else ""
    trouble = f"! {run.trouble}" if run.trouble else ""
    held = run.reason if run.state in (RunState.PAUSED, RunState.QUEUED) else ""
    return " · ".join(" ".join(text.split()) for text in (host, trouble, held, run.title, run.note) if text)


def _moment(seconds: float) -> str:
    """A time of today as hours and minutes, any other as a date."""
    now = time.time()
    if local_time(seconds, "%Y-%m-%d") == local_time(now, "%Y-%m-%d"):
        return local_time(seconds, "%H:%M")
    this_year = local_time(seconds, "%Y") == local_time(now, "%Y")
    return local_time(seconds, "%d %b %H:%M" if this_year else "%d %b %Y")
