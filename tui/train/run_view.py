"""The view of a run: its progress, losses, accuracy, figures, answers and events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Static

from looptop.engine.runs.progress import PROGRESS_FACT
from looptop.tui.actions import bindings
from looptop.tui.plots.chart import Chart
from looptop.tui.plots.curves import FAINT, FIRST, SECOND, SMOOTHING, Axes, Curve, averages, envelope, numbers
from looptop.tui.train import text
from looptop.tui.train.snapshot import Snapshot
from looptop.tui.widgets.events_panel import EventsPanel
from looptop.tui.widgets.panel import Panel

if TYPE_CHECKING:
    from textual.app import ComposeResult


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
        self._smoothing = 0
        self._log_scale = False
        self._drawn: dict[str, object] = {}
        self._laid_out = ""
        """The run for whose first snapshot the layout was waited for."""

    def compose(self) -> ComposeResult:
        """Two lines at the top, charts, then figures, answers and events."""
        yield Panel(id="run-head")
        yield Panel(id="run-progress")
        with Horizontal(id="charts"):
            yield Chart("Loss", id="loss-chart")
            yield Chart("Accuracy  [$secondary]•[/] validation", id="accuracy-chart")
        with Horizontal(id="run-below"):
            figures = Panel(id="figures")
            figures.border_title = "Now"
            yield figures
            with VerticalScroll(id="samples-box", can_focus=False) as samples:
                samples.border_title = "Sample answers"
                yield Static(id="samples")
            yield EventsPanel(id="events")

    @property
    def columns(self) -> int:
        """The columns in which to read a series: two for each cell, as Braille has."""
        return max(40, self.query_one("#loss-chart").size.width - 8)

    @property
    def weight(self) -> float:
        """The weight of the loss's smoothing; 0 for none."""
        return SMOOTHING[self._smoothing]

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

    def action_smoothing(self) -> None:
        """Switches to the next smoothing; after the strongest to none."""
        self._smoothing = (self._smoothing + 1) % len(SMOOTHING)
        self.post_message(self.Command("smoothing"))

    def action_scale(self) -> None:
        """Changes between a linear and a logarithmic scale."""
        self._log_scale = not self._log_scale
        if self.snapshot is not None:
            self._draw_charts(self.snapshot)

    def on_events_panel_opened(self) -> None:
        """Shows all events."""
        self.action_command("events")

    def action_command(self, command: str) -> None:
        """Passes a command on to the screen."""
        self.post_message(self.Command(command))

    def _draw_charts(self, snapshot: Snapshot) -> None:
        last = max(snapshot.total_steps, snapshot.step, 1)
        weight = self.weight
        wanted = (snapshot.loss, snapshot.eval_loss, snapshot.eval_accuracy, last, weight, self._log_scale)
        if self._drawn.get("charts") == wanted:
            return
        self._drawn["charts"] = wanted
        loss = snapshot.loss
        curves: list[Curve] = []
        if weight and loss.smoothed:
            curves.append(Curve(FAINT, *envelope(loss)))
            curves.append(Curve(FIRST, *averages(loss)))
        else:
            curves.append(Curve(FIRST, *envelope(loss)))
        curves.append(Curve(SECOND, snapshot.eval_loss.steps, numbers(snapshot.eval_loss.mean), dots=True))
        chart = self.query_one("#loss-chart", Chart)
        smoothed = f", smoothed {weight:g}" if weight else ""
        chart.set_title(f"Loss  [$primary]━[/] train{smoothed}  [$secondary]•[/] validation")
        chart.show(curves, Axes(0, last, log=self._log_scale))
        accuracy = snapshot.eval_accuracy
        chart = self.query_one("#accuracy-chart", Chart)
        chart.show([Curve(SECOND, accuracy.steps, numbers(accuracy.mean), dots=True)], Axes(0, last, 0.0, 1.0))

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
