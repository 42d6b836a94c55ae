"""All metrics of a run, or of several laid over each other, as charts: a page at a time, or one of them large."""

from __future__ import annotations

import asyncio
import contextlib
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
from looptop.tui.background import in_thread, work
from looptop.tui.charts import text as chart_text
from looptop.tui.charts.reader import ChartReader, Look, Window
from looptop.tui.plots import curves
from looptop.tui.plots.chart_wall import ChartWall
from looptop.tui.plots.curves import SMOOTHING
from looptop.tui.plots.plot import Axes
from looptop.tui.screens.controls import Driving
from looptop.tui.widgets.field import Field
from looptop.tui.widgets.panel import Panel

TICK = 1.0
"""Seconds between two looks at the journals."""

NARROWEST_WINDOW = 10
"""Steps that can be zoomed into."""


class Charts(Driving):
    """What the Runs screen opens; esc goes back to it."""

    CSS_PATH = ["../styles/chart.tcss", "../styles/charts.tcss"]  # noqa: RUF012
    HERE = "runs"
    PLACES = ("charts", "wall")
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("charts")]

    def __init__(self, runs: Sequence[RunFolder]) -> None:
        super().__init__()
        self._reader = ChartReader(runs)
        self._window = Window()
        self._look: Look | None = None
        self._drawn: dict[str, object] = {}
        self._smoothing = 0
        self._log_scale = False
        self._chosen = -1
        """Of several runs, the one in front; -1 where all are."""
        self._words = ""
        self._poke = asyncio.Event()

    def body(self) -> Iterable[Widget]:
        """Which runs, the filter, the charts, what is under the cursor, events."""
        yield Panel(id="charts-head")
        filter_field = Field(placeholder="type to filter the metrics; a regular expression will do", id="chart-filter")
        filter_field.display = False
        yield filter_field
        yield ChartWall()
        yield Panel(id="charts-status")
        events = Panel(id="charts-events")
        events.border_title = "Events"
        yield events

    def on_mount(self) -> None:
        """Begins to look."""
        self.query_one(ChartWall).focus()
        work(self, self._watch(), "watch")

    def on_screen_resume(self) -> None:
        """Looks at once when the screen comes back."""
        self._poke.set()

    def look_again(self) -> None:
        """Looks at once."""
        self._poke.set()

    def show_runs(self, runs: Sequence[RunFolder]) -> None:
        """Shows other runs."""
        if tuple(runs) != self._reader.runs:
            self._reader, self._window, self._chosen = ChartReader(runs), Window(), -1
            self._look = None
            self._drawn.clear()
        for run in runs:
            self.looptop.herald.add(run)
        self.query_one(ChartWall).focus()
        self._poke.set()

    # Looking.

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._poke.wait(), TICK)
            self._poke.clear()
            wall = self.query_one(ChartWall)
            if not self.is_below or not wall.size.width:
                continue
            reader, window = self._reader, self._window
            weight = SMOOTHING[self._smoothing]
            look = await self._read(reader, wall.names, wall.chart_columns(), window, weight)
            page = wall.page_of(self._wanted(look.names))
            if not wall.names and page:
                # At first nobody knows which metrics there are: those of the page are read before anything is drawn.
                look = await self._read(reader, page, wall.chart_columns(len(look.names)), window, weight)
            if reader is not self._reader or weight != SMOOTHING[self._smoothing]:
                continue
            self._look = look
            wall.list_names(self._wanted(look.names))
            self._show()

    @staticmethod
    async def _read(reader: ChartReader, names: Sequence[str], columns: int, window: Window, weight: float) -> Look:
        return await in_thread(lambda: reader.look(names, columns, window, weight))

    def _wanted(self, names: Sequence[str]) -> list[str]:
        if not self._words:
            return list(names)
        try:
            pattern = re.compile(self._words, re.IGNORECASE)
        except re.error:
            pattern = re.compile(re.escape(self._words), re.IGNORECASE)
        return [name for name in names if pattern.search(name)]

    def _show(self) -> None:
        look, wall = self._look, self.query_one(ChartWall)
        if look is None:
            return
        width = self.size.width - 2
        self.query_one("#charts-head", Panel).show(chart_text.head(look, width, self._chosen))
        place = wall.place if wall.names else None
        self.query_one("#charts-status", Panel).show(
            chart_text.status(look, wall.name_here, place, width, SMOOTHING[self._smoothing])
        )
        events = self.query_one("#charts-events", Panel)
        if events.size.height:
            events.show(chart_text.events(look, events.content_size.width, events.content_size.height))
        first, last = self._bounds(look)
        axes = Axes(first, last, log=self._log_scale)
        for name in wall.names:
            found = {head.id: look.series.get((name, head.id)) for head in look.heads}
            wanted = (found, axes, self._smoothing, self._chosen, wall.chart_columns())
            if self._drawn.get(name) != wanted:
                self._drawn[name] = wanted
                lines = curves.of(list(found.values()), wall.chart_columns(), SMOOTHING[self._smoothing], self._chosen)
                wall.draw(name, lines, axes)

    def _bounds(self, look: Look) -> tuple[int, int]:
        first = look.first if self._window.first is None else self._window.first
        last = look.last if self._window.last is None else self._window.last
        return first, max(last, first + 1)

    @on(ChartWall.Turned)
    def _turned(self) -> None:
        self._drawn.clear()
        self._poke.set()

    # What keys ask for.

    def action_zoom(self, by: float) -> None:
        """Shows fewer steps, or more, around the middle of what is shown."""
        if self._look is None:
            return
        first, last = self._bounds(self._look)
        middle, half = (first + last) / 2, (last - first) / 2 * by
        half = max(half, NARROWEST_WINDOW / 2)
        self._go_to(round(middle - half), round(middle + half))

    def action_pan(self, by: float) -> None:
        """Goes on by a part of what is shown."""
        if self._look is None:
            return
        first, last = self._bounds(self._look)
        shift = round((last - first) * by)
        least, most = self._look.first, self._look.last
        shift = max(min(shift, most - last), min(0, least - first))
        self._go_to(first + shift, last + shift)

    def action_whole(self) -> None:
        """Shows all steps again."""
        self._window = Window()
        self._poke.set()

    def _go_to(self, first: int, last: int) -> None:
        if self._look is None:
            return
        least, most = self._look.first, self._look.last
        whole = first <= least and last >= most
        self._window = Window() if whole else Window(max(first, least), min(last, max(most, least + 1)))
        self._poke.set()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The wheel zooms."""
        self.action_zoom(0.5)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The wheel zooms."""
        self.action_zoom(2.0)

    def action_smoothing(self) -> None:
        """Smooths more, then not at all."""
        self._smoothing = (self._smoothing + 1) % len(SMOOTHING)
        weight = SMOOTHING[self._smoothing]
        self.query_one(ChartWall).note(f"smoothed {weight:g}" if weight else "")
        self._poke.set()

    def action_scale(self) -> None:
        """Changes between a linear and a logarithmic scale."""
        self._log_scale = not self._log_scale
        self._show()

    def action_choose(self) -> None:
        """Puts the next run in front, then none."""
        if len(self._reader.runs) > 1:
            self._chosen = -1 if self._chosen == len(self._reader.runs) - 1 else self._chosen + 1
            self._show()

    def action_filter(self) -> None:
        """Shows the field that filters metrics."""
        field = self.query_one("#chart-filter", Field)
        field.display = True
        field.focus()

    @on(Input.Changed, "#chart-filter")
    def _filter(self, event: Input.Changed) -> None:
        self._words = event.value.strip()
        if self._look is not None:
            self.query_one(ChartWall).list_names(self._wanted(self._look.names))
        self._poke.set()

    @on(Input.Submitted, "#chart-filter")
    def _filtered(self) -> None:
        self.leave_field()

    def leave_field(self) -> None:
        """The single keys work in the charts."""
        field = self.query_one("#chart-filter", Field)
        field.display = bool(field.value)
        self.query_one(ChartWall).focus()

    def back(self) -> None:
        """Esc: out of the field, then out of the large chart, then to the runs."""
        wall = self.query_one(ChartWall)
        if isinstance(self.focused, Field):
            self.leave_field()
        elif wall.large:
            wall.action_enlarge()
        else:
            self.looptop.open_runs()

    def action_configurations(self) -> None:
        """Shows the configurations side by side."""
        from looptop.tui.charts.configurations import Configurations

        found = []
        for run in self._reader.runs:
            try:
                found.append((run.id, run.settings()))
            except LooptopError as error:
                self.looptop.tell(error, "error")
        self.app.push_screen(Configurations(found))

    def action_completions(self) -> None:
        """Shows what the model wrote."""
        from looptop.tui.charts.completions import Completions

        self.app.push_screen(Completions(self._front))

    def action_want(self, what: str) -> None:
        """Drives the run in front."""
        look = self._look
        if look is None:
            return
        run = self._front
        state = next(head.state for head in look.heads if head.id == run.id)
        if not self.drive(run, what, state) and what == "resume":
            self.resume(run)

    @property
    def _front(self) -> RunFolder:
        return self._reader.runs[max(self._chosen, 0)]
