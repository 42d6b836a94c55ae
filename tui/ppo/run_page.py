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
from looptop.tui.background import in_thread
from looptop.tui.plots import plot
from looptop.tui.plots.curves import SMOOTHING
from looptop.tui.plots.large_chart import LargeChart
from looptop.tui.plots.small_charts import SmallCharts
from looptop.tui.plots.spec import ChartSpec, curves_of
from looptop.tui.ppo.batches import BatchRow, BatchRows
from looptop.tui.ppo.charts import axes_of, charts_of
from looptop.tui.ppo.columns import BATCH_COLUMNS, BATCH_FIGURES, batch_cells
from looptop.tui.ppo.snapshot import PpoSnapshot
from looptop.tui.ppo.text import marks_in_full
from looptop.tui.widgets.events_panel import EventsPanel
from looptop.tui.widgets.table import Row, Table

if TYPE_CHECKING:
    from textual.app import ComposeResult


PLOTEXT_AFTER = 1.0
"""Seconds after the first paint at which plotext is imported."""
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

    class CurvesWanted(Message):
        """The page needs curves that were not read."""

    def __init__(self) -> None:
        super().__init__(id="run-page", classes="page")
        self.snapshot: PpoSnapshot | None = None
        self.follow = True
        self.enlarged = False
        self._smoothing = 0
        self._specs: tuple[ChartSpec, ...] = ()
        self._rows: BatchRows | None = None
        self._rows_read = RowsRead()
        self._wanted: int | None = None
        """The step that the cursor should be on as soon as that batch exists."""
        self._charts = SmallCharts(id="small-charts")
        self._batches = Table(BATCH_COLUMNS, id="batches")

    def compose(self) -> ComposeResult:
        """Charts, list, marks."""
        yield self._charts
        large = LargeChart("", id="large-chart")
        large.display = False
        yield large
        with Horizontal(id="batches-box"):
            yield self._batches
            with Vertical(id="batches-side"):
                marks = Static(id="batch-marks")
                marks.border_title = "Health of the batch"
                yield marks
                yield EventsPanel(id="ppo-events")

    def on_mount(self) -> None:
        """Imports plotext, which an enlarged chart needs, after the screen has been drawn."""
        self.set_timer(PLOTEXT_AFTER, lambda: in_thread(plot.load))

    # What is needed of the journal.

    @property
    def names(self) -> list[str]:
        """The metrics whose curves are on the screen."""
        if self.enlarged and self._specs:
            return self._specs[self._charts.chosen].metrics
        return [name for spec in self._specs for name in spec.metrics]

    @property
    def columns(self) -> int:
        """The columns in which to read each curve."""
        return max(40, self.size.width - 10) if self.enlarged else self._charts.plot_columns

    @property
    def weight(self) -> float:
        """The weight of the curves' smoothing; 0 for none."""
        return SMOOTHING[self._smoothing]

    def attach(self, journal: PpoJournal) -> None:
        """Shows another run."""
        self.snapshot, self.follow, self._wanted, self._specs = None, True, None, ()
        self._rows_read = RowsRead()
        self._rows = BatchRows(journal, [name for *_, name in BATCH_FIGURES], self._on_read, self._on_error)
        self._batches.fill(0, self._make, cursor=0)

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
            self.post_message(self.CurvesWanted())
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
        if self.follow:
            cursor = snapshot.count - 1
        elif self._wanted is not None:
            cursor = self._wanted - snapshot.first
        self._batches.fill(snapshot.count, self._make, cursor=cursor)
        self.draw_charts()
        self._show_batch()
        self.query_one(EventsPanel).show_events(snapshot.events)

    def draw_charts(self) -> None:
        """Redraws the curves on the screen."""
        snapshot = self.snapshot
        if snapshot is None or not self._specs:
            return
        weight = self.weight
        if self.enlarged:
            self._draw_large(snapshot, weight)
            return
        curves = {spec.key: curves_of(spec, snapshot.series, weight) for spec in self._specs}
        self._charts.show(self._specs, curves, {spec.key: axes_of(spec, snapshot) for spec in self._specs}, weight)

    def _draw_large(self, snapshot: PpoSnapshot, weight: float) -> None:
        spec = self._specs[self._charts.chosen]
        self.query_one(LargeChart).draw(
            spec,
            curves_of(spec, snapshot.series, weight),
            axes_of(spec, snapshot),
            self.step,
            self._figures(),
            weight,
        )

    def _make(self, row: int) -> Row | None:
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
        self._charts.mark(step, self._figures())
        if self.enlarged:
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
            self._show_batch()

    @on(Table.Moved, "#batches")
    def _moved(self, event: Table.Moved) -> None:
        event.stop()
        if self.snapshot is None:
            return
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

    def action_enlarge(self) -> None:
        """Enlarges the chosen chart, or shows all."""
        self.enlarged = not self.enlarged
        # Changing a CSS class would recompute the styles of every widget below.
        self.query_one("#batches-box").styles.height = HEIGHT_BELOW_ENLARGED if self.enlarged else None
        self._charts.display = not self.enlarged
        self.query_one(LargeChart).display = self.enlarged
        self.call_after_refresh(self.post_message, self.CurvesWanted())

    def action_choose(self, by: int) -> None:
        """Chooses another chart."""
        if self._specs:
            self._charts.choose((self._charts.chosen + by) % len(self._specs))
            if self.enlarged:
                self.post_message(self.CurvesWanted())

    def action_smoothing(self) -> None:
        """Switches to the next smoothing; after the strongest to none."""
        self._smoothing = (self._smoothing + 1) % len(SMOOTHING)
        self.post_message(self.CurvesWanted())

    @on(SmallCharts.Picked)
    def _picked(self, event: SmallCharts.Picked) -> None:
        self._charts.choose(event.index)
        if event.enlarge:
            self.action_enlarge()

    def on_resize(self) -> None:
        """Asks for curves that fit the new width."""
        self.post_message(self.CurvesWanted())
