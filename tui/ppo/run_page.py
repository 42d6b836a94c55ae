"""The page of a run: its charts, of which one can be enlarged, and the list of its batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from looptop.engine.errors import LooptopError
from looptop.engine.ppo.journal import PpoJournal
from looptop.tui.actions import bindings
from looptop.tui.plots.chart_wall import ChartWall
from looptop.tui.plots.composing import compose_wall
from looptop.tui.plots.spec import ChartSpec
from looptop.tui.plots.wall_layout import MinChartSize
from looptop.tui.ppo.batch_rows import BatchRow, BatchRows
from looptop.tui.ppo.charts import charts_of
from looptop.tui.ppo.columns import BATCH_COLUMNS, BATCH_FIGURES, batch_cells
from looptop.tui.ppo.snapshot import PpoSnapshot
from looptop.tui.ppo.text import marks_in_full
from looptop.tui.screens.curve_reader import CurveRequest
from looptop.tui.widgets.events_panel import EventsPanel
from looptop.tui.widgets.table import Row, Table

if TYPE_CHECKING:
    from textual.app import ComposeResult


MIN_CHART_WIDTH = 25
"""The smallest width of a chart in cells, with the gap to the next."""
HEIGHT_BELOW_ENLARGED = 8
"""Lines of the batches below an enlarged chart."""


class RowsRead(NamedTuple):
    """The state of the journal when changed rows were last marked."""

    version: int = -1
    last: int = 0
    """The last batch."""
    event: int = 0
    """The last event."""


class RunPage(Vertical):
    """Charts above, batches below."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("ppo-run")]

    class Opened(Message):
        """The person asks to open the batch under the cursor."""

    class Moved(Message):
        """The person moved the cursor to another batch."""

    def __init__(self) -> None:
        super().__init__(id="run-page", classes="page")
        self.snapshot: PpoSnapshot | None = None
        self.follow = True
        self._specs: tuple[ChartSpec, ...] = ()
        self._rows: BatchRows | None = None
        self._rows_read = RowsRead()
        self._wanted: int | None = None
        """The step that the cursor should be on as soon as that batch exists."""
        self._known_row = 0
        """The row that the cursor was put on, or moved to, as far as this page knows."""
        self.wall = ChartWall(MinChartSize(MIN_CHART_WIDTH, 0), id="ppo-charts", step_name="batch")
        self._batches = Table(BATCH_COLUMNS, id="batches")

    def compose(self) -> ComposeResult:
        """Charts, list, marks."""
        yield self.wall
        with Horizontal(id="batches-box"):
            yield self._batches
            with Vertical(id="batches-side"):
                marks = Static(id="batch-marks")
                marks.border_title = "Health of the batch"
                yield marks
                yield EventsPanel(id="ppo-events")

    # What is needed of the journal.

    @property
    def request(self) -> CurveRequest:
        """What to read for the charts. The run's own figures at the cursor are those of the batch's row."""
        names = tuple(name for spec in self.wall.page for name in spec.metrics)
        return CurveRequest(names, self.wall.columns, self.wall.view, self.step if self.has_other_runs else None)

    @property
    def has_other_runs(self) -> bool:
        """Whether other runs are laid over this one: their figures at the cursor are read with the curves."""
        return self.snapshot is not None and len(self.snapshot.runs) > 1

    def attach(self, journal: PpoJournal) -> None:
        """Shows another run."""
        self.snapshot, self.follow, self._wanted, self._specs = None, True, None, ()
        self._rows_read = RowsRead()
        self._rows = BatchRows(journal, [name for *_, name in BATCH_FIGURES], self._on_read, self._on_error)
        self._batches.fill(0, self._row_cells, cursor=0)
        self._known_row = 0
        self.wall.reset()

    # What is shown.

    @property
    def step(self) -> int | None:
        """The batch under the cursor."""
        snapshot = self.snapshot
        return None if snapshot is None or not snapshot.count else snapshot.first + self._batches.cursor

    def show(self, snapshot: PpoSnapshot) -> None:
        """Draws what has changed, together and after the visible rows have been read."""
        self.snapshot = snapshot
        if self._rows is None:
            return
        self._mark_changed_rows(snapshot)
        specs = charts_of(snapshot)
        if specs != self._specs:
            self._specs = specs
            self._rows.names = tuple(dict.fromkeys([*self._rows.names, *(n for s in specs for n in s.metrics)]))
            self._rows.mark_changed(0)
            self.wall.set_charts(specs)
        cursor = snapshot.last if self.follow else self._wanted or snapshot.first
        if not snapshot.count or self._rows.is_known(cursor):
            self._draw()
        else:
            self._rows.get(cursor)

    def _mark_changed_rows(self, snapshot: PpoSnapshot) -> None:
        """Marks the rows that may have changed since the last call."""
        before, rows = self._rows_read, self._rows
        if rows is None or snapshot.version == before.version:
            return
        fresh = [event for event in snapshot.events if event.id > before.event]
        redone = any(event.kind == "resume" for event in fresh)  # older batches were made again
        rows.mark_changed(0 if redone else min(before.last, snapshot.last))
        self._rows_read = RowsRead(snapshot.version, snapshot.last, fresh[-1].id if fresh else before.event)

    def _draw(self) -> None:
        snapshot = self.snapshot
        if snapshot is None:
            return
        cursor = None
        # If they differ, a key has just moved the cursor, of which this page has not heard yet: it stays where it is.
        if self._batches.cursor == self._known_row:
            if self.follow:
                cursor = snapshot.count - 1
            elif self._wanted is not None:
                cursor = self._wanted - snapshot.first
        self._batches.fill(snapshot.count, self._row_cells, cursor=cursor)
        if cursor is not None:
            self._known_row = self._batches.cursor
        self.draw_charts()
        self._show_batch()
        self.query_one(EventsPanel).show_events(snapshot.events)

    def draw_charts(self) -> None:
        """Draws the charts; their figures are those of the batch under the cursor."""
        snapshot = self.snapshot
        if snapshot is None or snapshot.request is None:
            return
        read = set(snapshot.request.names)
        specs = [spec for spec in self.wall.page if read.issuperset(spec.metrics)]
        if specs:
            view = snapshot.request.view
            self.wall.show(compose_wall(specs, snapshot.runs, view, figures=self._figures()), self.step)

    def _row_cells(self, row: int) -> Row | None:
        batch = self._batch(row)
        return None if batch is None else batch_cells(batch)

    def _batch(self, row: int) -> BatchRow | None:
        if self._rows is None or self.snapshot is None:
            return None
        return self._rows.get(self.snapshot.first + row)

    def _on_read(self, _first: int, _last: int) -> None:
        if self.is_attached and self.screen.display:  # otherwise the page is being removed
            self._draw()

    def _on_error(self, error: LooptopError) -> None:
        self.screen.show_status(str(error), "$text-error")  # type: ignore[attr-defined]  # every main screen can

    def _figures(self) -> dict[str, float | None]:
        """The figures of the batch under the cursor; while it has none, those of the previous batch."""
        for row in (self._batches.cursor, self._batches.cursor - 1):
            if row >= 0 and (batch := self._batch(row)) is not None and batch.figures:
                return batch.figures
        return {}

    def _show_batch(self) -> None:
        """Shows the batch under the cursor: its mark on the charts, and its text."""
        step = self.step
        if step is None:
            return
        batch = self._batch(self._batches.cursor)
        self.draw_charts()
        marks = Content("") if batch is None else marks_in_full(batch.record)
        self.query_one("#batch-marks", Static).update(
            marks if marks.plain else Content.styled("nothing unusual", "$text-muted"), layout=False
        )

    # Moving.

    def go_to(self, step: int, *, follow: bool = False) -> None:
        """Moves the cursor to a batch."""
        self.follow, self._wanted = follow, step
        snapshot = self.snapshot
        if snapshot is not None and snapshot.count:
            self._batches.cursor = max(0, min(step, snapshot.last) - snapshot.first)
            self._known_row = self._batches.cursor
            self._show_batch()

    @on(Table.Moved, "#batches")
    def _moved(self, event: Table.Moved) -> None:
        event.stop()
        if self.snapshot is None:
            return
        self._known_row = event.row
        step = self.snapshot.first + event.row
        if step != self._wanted:
            self._wanted = step
            self.follow = self.follow and step == self.snapshot.last
            self.post_message(self.Moved())
        self._show_batch()

    @on(Table.Chosen, "#batches")
    def action_open(self) -> None:
        """Opens the batch."""
        self.post_message(self.Opened())

    # Charts.

    def action_chart(self, action: str) -> None:
        """Does what the key does while a chart has the focus."""
        match action:
            case "enlarge":
                self.wall.action_enlarge()
            case "smoothing":
                self.wall.action_smoothing()
            case _:
                self.wall.action_step_chart(1 if action == "next" else -1)

    def leave_charts(self) -> bool:
        """Leaves the large chart, or the charts; returns whether there was something to leave."""
        if self.wall.large:
            self.wall.action_enlarge()
        elif self.wall.has_focus:
            self._batches.focus()
        else:
            return False
        return True

    @on(ChartWall.Enlarged)
    def _enlarged(self, event: ChartWall.Enlarged) -> None:
        # Changing a CSS class would recompute the styles of every widget below.
        self.query_one("#batches-box").styles.height = HEIGHT_BELOW_ENLARGED if event.large else None
        self.wall.styles.height = "1fr" if event.large else None

    @on(ChartWall.CursorMoved)
    def _read_in_chart(self, event: ChartWall.CursorMoved) -> None:
        """The reading cursor is the cursor among the batches."""
        event.stop()
        if self.snapshot is not None and self.snapshot.count:
            last = event.step is None
            self.go_to(self.snapshot.last if event.step is None else event.step, follow=last and self.snapshot.live)
            self.post_message(self.Moved())
