"""The charts screen: all metrics of a run, or of several runs in the same charts, a page at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.events import MouseScrollDown, MouseScrollUp
from textual.widget import Widget
from textual.widgets import Input

from looptop.engine.errors import LooptopError
from looptop.engine.runs.folder import RunFolder
from looptop.tui.actions import bindings
from looptop.tui.background import in_thread
from looptop.tui.charts import text as chart_text
from looptop.tui.charts.reader import ChartReader, ChartsSnapshot, Window
from looptop.tui.plots.chart_wall import ChartWall
from looptop.tui.plots.curves import SMOOTHING, Axes, curves_of_runs
from looptop.tui.screens.base import MainScreen
from looptop.tui.screens.controls import RunControls
from looptop.tui.screens.events import Events
from looptop.tui.screens.watch import WatchLoop
from looptop.tui.widgets.bars import KeyBar, TopBar
from looptop.tui.widgets.events_panel import EventsPanel
from looptop.tui.widgets.field import Field
from looptop.tui.widgets.panel import Panel

NARROWEST_WINDOW = 10
"""The fewest steps that a window can show."""


class ChartsScreen(MainScreen):
    """The charts; the Runs screen opens them, and esc goes back to it."""

    CSS_PATH = ["../styles/chart.tcss", "../styles/charts.tcss"]  # noqa: RUF012
    KEY_CONTEXTS = ("charts", "wall")
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("charts")]

    def __init__(self, runs: Sequence[RunFolder]) -> None:
        super().__init__()
        self._reader = ChartReader(runs)
        self._window = Window()
        self._snapshot: ChartsSnapshot | None = None
        self._drawn: dict[str, object] = {}
        self._smoothing = 0
        self._log_scale = False
        self._chosen = -1
        """The index of the highlighted run; -1 if none is."""
        self._filter = ""
        """A regular expression or a part of a metric's name."""
        self._loop = WatchLoop(self, self._read)
        self._controls = RunControls(self, self._loop.poke)

    def compose(self) -> Iterable[Widget]:
        """A head with the runs, the filter, the charts, the figures under the cursor, events."""
        yield TopBar("runs")
        yield Panel(id="charts-head")
        filter_field = Field(placeholder="type to filter the metrics; a regular expression will do", id="chart-filter")
        filter_field.display = False
        yield filter_field
        yield ChartWall()
        yield Panel(id="charts-status")
        yield EventsPanel(id="charts-events")
        yield KeyBar()

    def on_mount(self) -> None:
        """Starts reading."""
        self.query_one(ChartWall).focus()
        self._loop.start()

    def on_screen_resume(self) -> None:
        """Reads immediately when the screen comes back."""
        self._loop.poke()

    def show_runs(self, runs: Sequence[RunFolder]) -> None:
        """Shows other runs."""
        if tuple(runs) != self._reader.runs:
            self._reader, self._window, self._chosen = ChartReader(runs), Window(), -1
            self._snapshot = None
            self._drawn.clear()
        for run in runs:
            self.services.watch_events(run)
        self.query_one(ChartWall).focus()
        self._loop.poke()

    # Reading.

    async def _read(self) -> bool:
        wall = self.query_one(ChartWall)
        if not wall.size.width:
            return False
        reader, window = self._reader, self._window
        weight = SMOOTHING[self._smoothing]

        async def poll(names: Sequence[str], columns: int) -> ChartsSnapshot:
            return await in_thread(lambda: reader.poll(names, columns, window, weight))

        snapshot = await poll(wall.names, wall.chart_columns())
        page = wall.page_of(self._filtered_names(snapshot.names))
        if not wall.names and page:
            # At first the metrics are unknown: those of the page are read before anything is drawn.
            snapshot = await poll(page, wall.chart_columns(len(snapshot.names)))
        if reader is self._reader and weight == SMOOTHING[self._smoothing]:
            self._snapshot = snapshot
            wall.list_names(self._filtered_names(snapshot.names))
            self._show()
        return True

    def _filtered_names(self, names: Sequence[str]) -> list[str]:
        if not self._filter:
            return list(names)
        try:
            pattern = re.compile(self._filter, re.IGNORECASE)
        except re.error:
            pattern = re.compile(re.escape(self._filter), re.IGNORECASE)
        return [name for name in names if pattern.search(name)]

    def _show(self) -> None:
        snapshot, wall = self._snapshot, self.query_one(ChartWall)
        if snapshot is None:
            return
        width = self.size.width - 2
        self.query_one("#charts-head", Panel).show(chart_text.head(snapshot, width, self._chosen))
        position = wall.position if wall.names else None
        self.query_one("#charts-status", Panel).show(
            chart_text.status(snapshot, wall.current_name, position, width, SMOOTHING[self._smoothing])
        )
        self.query_one(EventsPanel).show_entries(chart_text.events(snapshot))
        first, last = self._bounds(snapshot)
        axes = Axes(first, last, log=self._log_scale)
        for name in wall.names:
            series = {head.id: snapshot.series.get((name, head.id)) for head in snapshot.heads}
            wanted = (series, axes, self._smoothing, self._chosen, wall.chart_columns())
            if self._drawn.get(name) != wanted:
                self._drawn[name] = wanted
                lines = curves_of_runs(
                    list(series.values()), wall.chart_columns(), SMOOTHING[self._smoothing], self._chosen
                )
                wall.draw(name, lines, axes)

    def _bounds(self, snapshot: ChartsSnapshot) -> tuple[int, int]:
        first = snapshot.first if self._window.first is None else self._window.first
        last = snapshot.last if self._window.last is None else self._window.last
        return first, max(last, first + 1)

    @on(ChartWall.Turned)
    def _turned(self) -> None:
        self._drawn.clear()
        self._loop.poke()

    # What keys ask for.

    def action_zoom(self, by: float) -> None:
        """Shows fewer or more steps around the middle of the window."""
        if self._snapshot is None:
            return
        first, last = self._bounds(self._snapshot)
        middle, half = (first + last) / 2, (last - first) / 2 * by
        half = max(half, NARROWEST_WINDOW / 2)
        self._go_to(round(middle - half), round(middle + half))

    def action_pan(self, by: float) -> None:
        """Moves the window by a fraction of its width."""
        if self._snapshot is None:
            return
        first, last = self._bounds(self._snapshot)
        shift = round((last - first) * by)
        least, most = self._snapshot.first, self._snapshot.last
        shift = max(min(shift, most - last), min(0, least - first))
        self._go_to(first + shift, last + shift)

    def action_whole(self) -> None:
        """Shows all steps again."""
        self._window = Window()
        self._loop.poke()

    def _go_to(self, first: int, last: int) -> None:
        if self._snapshot is None:
            return
        least, most = self._snapshot.first, self._snapshot.last
        whole = first <= least and last >= most
        self._window = Window() if whole else Window(max(first, least), min(last, max(most, least + 1)))
        self._loop.poke()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Zooms with the wheel."""
        self.action_zoom(0.5)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Zooms with the wheel."""
        self.action_zoom(2.0)

    def action_smoothing(self) -> None:
        """Switches to the next smoothing; after the strongest to none."""
        self._smoothing = (self._smoothing + 1) % len(SMOOTHING)
        weight = SMOOTHING[self._smoothing]
        self.query_one(ChartWall).note(f"smoothed {weight:g}" if weight else "")
        self._loop.poke()

    def action_scale(self) -> None:
        """Changes between a linear and a logarithmic scale."""
        self._log_scale = not self._log_scale
        self._show()

    def action_choose(self) -> None:
        """Highlights the next run, after the last one none."""
        if len(self._reader.runs) > 1:
            self._chosen = -1 if self._chosen == len(self._reader.runs) - 1 else self._chosen + 1
            self._show()

    def action_filter(self) -> None:
        """Shows the field that filters metrics."""
        field = self.query_one("#chart-filter", Field)
        field.display = True
        field.focus()

    @on(Input.Changed, "#chart-filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self._filter = event.value.strip()
        if self._snapshot is not None:
            self.query_one(ChartWall).list_names(self._filtered_names(self._snapshot.names))
        self._loop.poke()

    @on(Input.Submitted, "#chart-filter")
    def _filter_submitted(self) -> None:
        self.leave_field()

    def leave_field(self) -> None:
        """Moves the focus to the charts, where single keys work."""
        field = self.query_one("#chart-filter", Field)
        field.display = bool(field.value)
        self.query_one(ChartWall).focus()

    def back(self) -> None:
        """Esc: leaves the field, then the large chart, then goes to the runs."""
        wall = self.query_one(ChartWall)
        if isinstance(self.focused, Field):
            self.leave_field()
        elif wall.large:
            wall.action_enlarge()
        else:
            self.services.open_runs()

    def action_configurations(self) -> None:
        """Shows the configurations side by side."""
        from looptop.tui.charts.configurations import Configurations

        settings = []
        for run in self._reader.runs:
            try:
                settings.append((run.id, run.settings()))
            except LooptopError as error:
                self.services.show_notice(error, "error")
        self.app.push_screen(Configurations(settings))

    def action_completions(self) -> None:
        """Shows the completions."""
        from looptop.tui.charts.completions import Completions

        self.app.push_screen(Completions(self._front))

    def action_command(self, command: str) -> None:
        """Sends a command to the highlighted run; `events` shows those of all runs."""
        if command == "events":
            self.app.push_screen(Events(self._reader.runs))
        elif self._snapshot is not None:
            run = self._front
            state = next(head.state for head in self._snapshot.heads if head.id == run.id)
            self._controls.perform(run, command, state)

    def on_events_panel_opened(self) -> None:
        """Shows all events."""
        self.action_command("events")

    @property
    def _front(self) -> RunFolder:
        return self._reader.runs[max(self._chosen, 0)]
