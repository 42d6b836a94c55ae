"""The mouse over a wall of charts: the wheel zooms at the pointer, a drag selects or pans, a click reads a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from looptop.tui.plots.view import Span, limited, panned

if TYPE_CHECKING:
    from looptop.tui.plots.chart_wall import ChartWall

SMALLEST_SHARE = 1 / 200
"""The smallest share of the shown range that counts as a selection; less is a click with an unsteady hand."""


class PointerTarget(NamedTuple):
    """What is under the pointer."""

    chart: int
    """The index of the chart."""
    position: float
    """The position on the horizontal axis."""
    on_axis: bool
    """Whether the pointer is on the horizontal axis, below the curves."""


class _Drag(NamedTuple):
    """A drag, as it began."""

    chart: int
    begun: float
    pans: bool
    """Whether it moves the window, rather than selecting what to zoom to."""
    span: Span
    """The range that was shown."""


class WallMouse:
    """Turns what the mouse does into changes of a wall's view."""

    def __init__(self, wall: ChartWall) -> None:
        self._wall = wall
        self._drag: _Drag | None = None
        self._selection: Span | None = None
        self._moved = False
        """Whether the last press became a drag, so that it was no click."""

    def selection(self, index: int) -> Span | None:
        """The range that a drag selects in a chart."""
        return self._selection if self._drag is not None and self._drag.chart == index else None

    def press(self, x: int, y: int) -> bool:
        """The button was pressed at a cell; returns whether that may become a drag."""
        under = self._wall.under(x, y)
        self._moved = False
        if under is None:
            return False
        self._drag = _Drag(under.chart, under.position, under.on_axis, self._wall.span)
        return True

    def move(self, x: int) -> None:
        """The pointer moved to a column."""
        drag, wall = self._drag, self._wall
        if drag is None:
            return
        # On the axis as it was when the drag began.
        position = wall.position_in(drag.chart, x, drag.span)
        if drag.pans:
            self._moved = True
            wall.go_to(panned(drag.span, wall.data.whole, drag.begun - position))
            return
        low, high = sorted((drag.begun, position))
        selection = Span(low, high) if high - low >= SMALLEST_SHARE * drag.span.width else None
        if selection != self._selection:
            self._selection, self._moved = selection, True
            wall.redraw()

    def release(self) -> None:
        """The button was released: zooms to what was selected."""
        selection, self._selection, self._drag = self._selection, None, None
        if selection is not None:
            self._wall.go_to(limited(selection, self._wall.data.whole))
        self._wall.redraw()

    def wheel(self, x: int, y: int, factor: float) -> bool:
        """Zooms at the pointer; returns whether there is a chart."""
        under = self._wall.under(x, y)
        if under is not None:
            self._wall.zoom_about(under.position, factor)
        return under is not None

    def click(self, x: int, y: int, count: int) -> None:
        """Chooses the chart and reads the step that was clicked; twice enlarges it."""
        under = self._wall.under(x, y)
        if under is None or self._moved:
            return
        if count == 2:
            self._wall.action_enlarge()
        else:
            self._wall.read_near(under.chart, under.position)
