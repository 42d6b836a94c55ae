"""The data of one chart, as it is drawn: curves, horizontal lines, marks on the axis, and the figures in its title."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from looptop.engine.journal.step_positions import STEPS_ONLY, StepPositions, Unit
from looptop.tui.plots.curves import Curve
from looptop.tui.plots.view import Span, View

MarkKind = Literal["evaluation", "checkpoint", "best"]

MARK_SIGNS: dict[MarkKind, str] = {"evaluation": "○", "checkpoint": "◆", "best": "★"}
"""The sign of each mark on the axis; a later kind is drawn over an earlier one."""


class Level(NamedTuple):
    """A horizontal line: a target, or what the curve should be compared with."""

    value: float
    label: str
    """What it is, without the value; empty for a line without words."""
    percent: bool = False
    """Whether the value is written in percent."""


class AxisMark(NamedTuple):
    """A mark on the horizontal axis."""

    position: float
    kind: MarkKind


class Entry(NamedTuple):
    """One curve in the legend."""

    label: str
    """Its name; empty if the chart's title says enough."""
    role: int
    dots: bool
    figure: str
    """Its value at the cursor, or its last one; `·` if there is none."""


@dataclass(frozen=True)
class ChartData:
    """One chart.

    Attributes:
        curves: The curves; later ones are drawn over earlier ones.
        levels: Horizontal lines.
        marks: Marks on the axis.
        lowest: The lower end of the axis of values; None takes it from the data.
        highest: The upper end; likewise.
        linear: Whether a logarithmic scale makes no sense, as for shares.
        entries: The legend.
        spread: The figure of the standard deviation around the first curve; empty for none.
        target: The value that the first curve should have, as text; empty for none.
        smoothed: The weight of the smoothing of its curves; 0 if none is smoothed.
    """

    curves: tuple[Curve, ...] = ()
    levels: tuple[Level, ...] = ()
    marks: tuple[AxisMark, ...] = ()
    lowest: float | None = None
    highest: float | None = None
    linear: bool = False
    entries: tuple[Entry, ...] = ()
    spread: str = ""
    target: str = ""
    smoothed: float = 0.0


NO_DATA = ChartData()
ONE = Span(0, 1)
PLAIN_VIEW = View()


@dataclass(frozen=True)
class WallData:
    """The charts of a wall.

    Attributes:
        charts: The data of each chart, by its key.
        whole: The range of all data, in positions of the horizontal axis.
        step_positions: Where the steps of the screen's own run are on that axis.
        view: The view that the data were read for.
        units: The units that the run journals.
        steps: How many steps there are.
    """

    charts: Mapping[str, ChartData] = field(default_factory=dict)
    whole: Span = ONE
    step_positions: StepPositions = STEPS_ONLY
    view: View = PLAIN_VIEW
    units: tuple[Unit, ...] = ("step",)
    steps: int = 1

    def span(self, window: Span | None) -> Span:
        """The positions of a window of steps; without one, of all data."""
        if window is None:
            return self.whole
        return Span(self.step_positions.position(window.first), self.step_positions.position(window.last))

    def window(self, span: Span) -> Span | None:
        """The steps of a range of positions; None if it is everything."""
        rounding = 1e-9 * self.whole.width
        if span.first <= self.whole.first + rounding and span.last >= self.whole.last - rounding:
            return None
        return Span(self.step_positions.step(span.first), self.step_positions.step(span.last))

    def steps_of(self, key: str, span: Span) -> list[int]:
        """The steps within a range of positions for which a chart has points."""
        chart = self.charts.get(key, NO_DATA)
        xs = {x for curve in chart.curves for x in curve.xs if span.first <= x <= span.last}
        return sorted({round(self.step_positions.step(x)) for x in xs})
