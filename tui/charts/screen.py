"""The charts screen: all metrics of a run, or of several runs in the same charts, a page at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual import on
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input

from looptop.engine.errors import LooptopError
from looptop.engine.runs.folder import RunFolder
from looptop.tui.actions import SCREENS, bindings
from looptop.tui.actions.run_controls import does_nothing
from looptop.tui.background import in_thread, work
from looptop.tui.charts import text as chart_text
from looptop.tui.charts.reader import ChartReader, ChartsSnapshot, RunOverview
from looptop.tui.plots.chart_wall import ChartWall
from looptop.tui.plots.composing import compose_wall
from looptop.tui.plots.curves import FIRST
from looptop.tui.plots.scales import position_text
from looptop.tui.plots.spec import ChartSpec, Line
from looptop.tui.plots.wall_layout import MinChartSize
from looptop.tui.screen_names import NUMBERED_SCREENS
from looptop.tui.screens.base import MainScreen
from looptop.tui.screens.chart_controls import ChartControls
from looptop.tui.screens.controls import RunControls
from looptop.tui.screens.curve_reader import CurveRequest
from looptop.tui.screens.events import show_events
from looptop.tui.screens.watch import WatchLoop
from looptop.tui.widgets.bars import KeyBar, TopBar
from looptop.tui.widgets.events_panel import EventsPanel
from looptop.tui.widgets.field import Field
from looptop.tui.widgets.panel import Panel

SMALLEST_CHART = MinChartSize(36, 9)

AXIS_WORDS = {"step": "", "epoch": "by epoch", "time": "by training time, without pauses"}
"""What is said of the horizontal axis."""


class ChartsScreen(MainScreen):
    """The charts; esc goes back to the screen that they were opened from."""

    CSS_PATH = ["../styles/chart.tcss", "../styles/charts.tcss"]  # noqa: RUF012
    KEY_CONTEXTS = SCREENS["charts"].contexts
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("charts")]

    def __init__(self, runs: Sequence[RunFolder]) -> None:
        super().__init__()
        self._reader = ChartReader(runs)
        self._snapshot: ChartsSnapshot | None = None
        self._chosen = -1
        """The index of the highlighted run; -1 if none is."""
        self._filter = ""
        """A regular expression or a part of a metric's name."""
        self._loop = WatchLoop(self, self._read, self.show_error)
        self._controls = RunControls(self, self._loop.poke)
        self._live_in_keys: bool | None = None
        """Whether the highlighted run was live when the bottom line was last drawn."""
        self._origin = "runs"
        self._chart_controls = ChartControls(
            self, lambda: self.query_one(ChartWall), lambda: self._reader.runs, self._toggle_overlay
        )

    def compose(self) -> Iterable[Widget]:
        """A head with the runs, the filter, the charts, the figures under the cursor, events."""
        yield TopBar("runs")
        yield Panel(id="charts-head")
        filter_field = Field(placeholder="type to filter the metrics; a regular expression will do", id="chart-filter")
        filter_field.display = False
        yield filter_field
        yield ChartWall(SMALLEST_CHART)
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

    def show_runs(self, runs: Sequence[RunFolder], origin: str) -> None:
        """Shows other runs.

        Args:
            runs: The runs.
            origin: The screen from which they were opened, to which esc goes back.
        """
        if origin in NUMBERED_SCREENS:
            self._origin = origin
            self.query_one(TopBar).highlight(origin)
        if tuple(runs) != self._reader.runs:
            self._reader, self._chosen = ChartReader(runs), -1
            self._snapshot = None
            self.query_one(ChartWall).reset()
        for run in runs:
            self.services.watch_events(run)
        self.query_one(ChartWall).focus()
        self._loop.poke()

    # Reading.

    async def _read(self) -> bool:
        wall = self.query_one(ChartWall)
        if not wall.size.width:
            return False
        reader = self._reader

        async def poll() -> ChartsSnapshot:
            names = tuple(name for spec in wall.page for name in spec.metrics)
            request = CurveRequest(names, wall.columns, wall.view, wall.cursor)
            return await in_thread(lambda: reader.poll(request))

        snapshot = await poll()
        specs = [_spec(name) for name in self._filtered_names(snapshot.names)]
        if not wall.specs and specs:
            # At first the metrics are unknown: those of the page are read before anything is drawn.
            wall.set_charts(specs)
            snapshot = await poll()
        if reader is self._reader:
            self._snapshot = snapshot
            wall.set_charts([_spec(name) for name in self._filtered_names(snapshot.names)])
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
        specs = [spec for spec in wall.page if spec.lines[0].metric in snapshot.request.names]
        wall.show(compose_wall(specs, snapshot.runs, snapshot.request.view, front=self._chosen))
        width = self.size.width - 2
        head = chart_text.head_line(snapshot, width, self._chosen, colourless=self.app.no_color)
        self.query_one("#charts-head", Panel).show(head)
        self._show_status()
        self.query_one(EventsPanel).show_entries(chart_text.events(snapshot))
        if self._front_is_live != self._live_in_keys:
            self._live_in_keys = self._front_is_live
            self.refresh_bindings()

    def _show_status(self) -> None:
        snapshot, wall = self._snapshot, self.query_one(ChartWall)
        if snapshot is None:
            return
        chosen, unit = wall.chosen_spec, wall.data.view.unit
        weight = wall.chart(chosen).smoothed if chosen is not None else 0.0
        notes = [f"smoothed {weight:g}" if weight else "", AXIS_WORDS[unit]]
        if wall.view.weight != wall.data.view.weight:
            # For many metrics that takes a moment.
            notes = [f"smoothing {wall.view.weight:g} …" if wall.view.weight else "without smoothing …"]
        self.query_one("#charts-status", Panel).show(
            chart_text.status(
                snapshot,
                chosen.title if chosen is not None else "",
                (wall.chosen + 1, len(wall.specs)) if chosen is not None else None,
                self.size.width - 2,
                shown_words(wall),
                notes,
            )
        )

    @on(ChartWall.DataWanted)
    @on(ChartWall.CursorMoved)
    def _data_wanted(self) -> None:
        self._show_status()
        self._loop.poke()

    @on(ChartWall.OverlayWanted)
    @on(ChartWall.ExportWanted)
    def _chart_wanted(self, event: ChartWall.OverlayWanted | ChartWall.ExportWanted) -> None:
        self._chart_controls.carry_out(event)

    def _toggle_overlay(self, run: RunFolder) -> None:
        runs = list(self._reader.runs)
        self._reader = ChartReader([each for each in runs if each != run] if run in runs else [*runs, run])
        self._chosen = -1
        self.services.watch_events(run)
        self._loop.poke()

    # What keys ask for.

    def action_next_in_front(self) -> None:
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
            self.query_one(ChartWall).set_charts([_spec(name) for name in self._filtered_names(self._snapshot.names)])
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
        """Esc: leaves the field, then the large chart, then goes back."""
        wall = self.query_one(ChartWall)
        if isinstance(self.focused, Field):
            self.leave_field()
        elif wall.large:
            wall.action_enlarge()
        else:
            work(self, self.services.action_go(self._origin), "screens")

    def action_configurations(self) -> None:
        """Shows the configurations side by side."""
        from looptop.tui.charts.configurations import Configurations

        runs = self._reader.runs

        def read() -> tuple[list[tuple[str, dict[str, Any]]], list[LooptopError]]:
            settings, errors = [], []
            for run in runs:
                try:
                    settings.append((run.id, run.settings()))
                except LooptopError as error:
                    errors.append(error)
            return settings, errors

        def show(result: tuple[list[tuple[str, dict[str, Any]]], list[LooptopError]]) -> None:
            settings, errors = result
            for error in errors:
                self.services.show_notice(error, "error")
            self.app.push_screen(Configurations(settings))

        self.fetch_here(read, show)

    def action_completions(self) -> None:
        """Shows the completions."""
        from looptop.tui.charts.completions import Completions

        self.app.push_screen(Completions(self._front))

    def action_command(self, command: str) -> None:
        """Sends a command to the highlighted run; `events` shows those of all runs."""
        if command == "events":
            show_events(self, self._reader.runs)
        elif (overview := self._front_overview) is not None:
            self._controls.perform(self._front, command, overview.state)

    def on_events_panel_opened(self) -> None:
        """Shows all events."""
        self.action_command("events")

    def hides_key(self, action: str) -> bool:
        """Hides keys that need a live run if the highlighted one is not."""
        return does_nothing(action, self._front_is_live)

    @property
    def _front(self) -> RunFolder:
        return self._reader.runs[max(self._chosen, 0)]

    @property
    def _front_overview(self) -> RunOverview | None:
        """What was read of the highlighted run; None if it has not been read yet."""
        index = max(self._chosen, 0)
        overview = self._snapshot.overviews[index] if self._snapshot and index < len(self._snapshot.overviews) else None
        return overview if overview is not None and overview.id == self._front.id else None

    @property
    def _front_is_live(self) -> bool | None:
        overview = self._front_overview
        return None if overview is None else bool(overview.live_by)


def shown_words(wall: ChartWall) -> str:
    """The window of a wall in words; empty if everything is shown."""
    window, unit = wall.view.window, wall.data.view.unit
    if window is None:
        return ""
    ends = [round(end) for end in window] if unit == "step" else list(wall.span)
    if unit == "step":
        return f"steps {ends[0]:,} to {ends[1]:,}"
    first, last = (position_text(end, unit) for end in ends)
    return f"{first.removesuffix(' of training')} to {last.removeprefix('epoch ')}"


def _spec(name: str) -> ChartSpec:
    """The chart of a metric."""
    return ChartSpec(name, name, (Line(name, "", FIRST, dots=name.startswith("eval_")),))
