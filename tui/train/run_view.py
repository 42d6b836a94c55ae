"""The view of a run: its progress, charts of losses and accuracy, figures, answers and events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.actions import SkipAction
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Static

from looptop.engine.runs.progress import PROGRESS_FACT
from looptop.tui.actions import bindings
from looptop.tui.plots.chart_wall import ChartWall
from looptop.tui.plots.composing import compose_wall
from looptop.tui.plots.curves import FIRST, SECOND
from looptop.tui.plots.spec import ChartSpec, Line
from looptop.tui.plots.wall_layout import MinChartSize
from looptop.tui.screens.curve_reader import CurveRequest
from looptop.tui.train import text
from looptop.tui.train.snapshot import Snapshot
from looptop.tui.widgets.events_panel import EventsPanel
from looptop.tui.widgets.panel import Panel

if TYPE_CHECKING:
    from textual.app import ComposeResult


CHARTS = (
    ChartSpec("loss", "Loss", (Line("loss", "train", FIRST), Line("eval_loss", "validation", SECOND, dots=True))),
    ChartSpec(
        "accuracy",
        "Accuracy",
        (Line("eval_accuracy", "validation", SECOND, dots=True),),
        lowest=0.0,
        highest=1.0,
        percent=True,
    ),
)
"""The charts of the screen."""


class RunView(Vertical, can_focus=True):
    """Shows snapshots of one run."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("run")]

    @dataclass
    class Command(Message):
        """A key asked for a command, which the screen carries out."""

        command: str

    def __init__(self) -> None:
        super().__init__(id="run")
        self.snapshot: Snapshot | None = None
        self._drawn: dict[str, object] = {}
        self._laid_out = ""
        """The run for whose first snapshot the layout was waited for."""

    def compose(self) -> ComposeResult:
        """Two lines at the top, charts, then figures, answers and events."""
        yield Panel(id="run-head")
        yield Panel(id="run-progress")
        yield ChartWall(MinChartSize(36, 8), id="train-charts")
        with Horizontal(id="run-below"):
            figures = Panel(id="figures")
            figures.border_title = "Now"
            yield figures
            with SamplesBox(id="samples-box", can_focus=False) as samples:
                samples.border_title = "Sample answers"
                samples.border_subtitle = "w: with images"
                yield Static(id="samples")
            yield EventsPanel(id="events")

    def on_mount(self) -> None:
        """Lists the charts."""
        self.wall.set_charts(CHARTS)

    @property
    def wall(self) -> ChartWall:
        """The charts."""
        return self.query_one(ChartWall)

    @property
    def request(self) -> CurveRequest:
        """What to read for the charts."""
        wall = self.wall
        names = tuple(name for spec in wall.page for name in spec.metrics)
        return CurveRequest(names, wall.columns, wall.view, wall.cursor)

    def show(self, snapshot: Snapshot) -> None:
        """Draws what has changed."""
        before, self.snapshot = self.snapshot, snapshot
        if snapshot is before:
            if snapshot.live and PROGRESS_FACT in snapshot.facts:  # it says for how long: that goes on
                self.query_one("#run-progress", Panel).show(text.progress(snapshot, self.size.width - 2))
            return
        if before is None or before.id != snapshot.id:
            self._drawn.clear()
        width = self.size.width - 2
        self.query_one("#run-head", Panel).show(text.head(snapshot, width))
        self.query_one("#run-progress", Panel).show(text.progress(snapshot, width))
        self.query_one("#figures", Panel).show(text.figures(snapshot))
        events = self.query_one(EventsPanel)
        events.show_events(snapshot.events)
        # Where there is no room for the panel, its counts are below the figures.
        self.query_one("#figures").border_subtitle = "" if events.display else events.counts
        self._draw_charts(snapshot)
        self._show_samples(snapshot)

    def again(self) -> None:
        """Redraws everything, because the size or a choice has changed."""
        snapshot, self.snapshot = self.snapshot, None
        self._drawn.clear()
        if snapshot is not None:
            self.show(snapshot)

    def on_resize(self) -> None:
        """Fits the lines to the new size."""
        self.call_after_refresh(self.again)

    def action_chart(self, action: str) -> None:
        """Does what the key does while a chart has the focus."""
        {"smoothing": self.wall.action_smoothing, "scale": self.wall.action_scale}[action]()

    def on_chart_wall_enlarged(self, event: ChartWall.Enlarged) -> None:
        """Gives an enlarged chart the room of what is below."""
        self.query_one("#run-below").display = not event.large

    def on_events_panel_opened(self) -> None:
        """Shows all events."""
        self.action_command("events")

    def action_command(self, command: str) -> None:
        """Passes a command on to the screen, once the run is read.

        Raises:
            SkipAction: It is not.
        """
        if self.snapshot is None:
            raise SkipAction
        self.post_message(self.Command(command))

    def _draw_charts(self, snapshot: Snapshot) -> None:
        if snapshot.request is not None:
            specs = [spec for spec in CHARTS if spec.lines[0].metric in snapshot.request.names]
            self.wall.show(compose_wall(specs, snapshot.runs, snapshot.request.view))

    def _show_samples(self, snapshot: Snapshot) -> None:
        box = self.query_one("#samples-box", VerticalScroll)
        if not box.size.width and self._laid_out != snapshot.id:
            self._laid_out = snapshot.id
            self.call_after_refresh(self.again)
        wanted = (snapshot.sample_step, snapshot.samples, box.size.width)
        if self._drawn.get("samples") == wanted:
            return
        self._drawn["samples"] = wanted
        at = "" if snapshot.sample_step is None else f" at step {snapshot.sample_step:,}"
        score = sum(sample.correct for sample in snapshot.samples) / max(1, len(snapshot.samples))
        box.border_title = f"Sample answers{at}: {100 * score:.0f} % right" if snapshot.samples else "Sample answers"
        lines_of_samples = text.samples(snapshot, box.size.width - 2)
        table, lines = self.query_one("#samples", Static), lines_of_samples.plain.count("\n")
        table.update(lines_of_samples, layout=self._drawn.get("lines") != lines)
        self._drawn["lines"] = lines


class SamplesBox(VerticalScroll):
    """The sample answers; a click shows them with their images."""

    def on_click(self) -> None:
        """Asks for the evaluations over time."""
        self.post_message(RunView.Command("timeline"))
