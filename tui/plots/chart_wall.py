"""The charts of a screen, in one widget: as many as fit side by side, with a shared view and a reading cursor.

One widget draws all charts, because the layout of many small widgets would cost more than the drawing. Only cells that
have changed are redrawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.events import Click, MouseDown, MouseMove, MouseScrollDown, MouseScrollUp, MouseUp, Resize
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from looptop.tui.actions import bindings
from looptop.tui.plots.chart_data import NO_DATA, ChartData, WallData
from looptop.tui.plots.chart_lines import ChartLines, Marking, changed_cells
from looptop.tui.plots.curves import MARK, MARKED, ROLE_CLASSES, TextSpan
from looptop.tui.plots.scales import position_text
from looptop.tui.plots.spec import ChartSpec
from looptop.tui.plots.view import NARROWEST_STEPS, UNITS, Span, View, neighbour, panned, zoomed
from looptop.tui.plots.wall_layout import Grid, MinChartSize, grid
from looptop.tui.plots.wall_mouse import PointerTarget, WallMouse
from looptop.tui.widgets.style_cache import StyleCache


class ChartWall(StyleCache, can_focus=True):
    """All charts of a screen.

    Args:
        min_size: How small charts may become.
        id: The widget's id.
        step_name: What a step is called on the axis.
    """

    ALLOW_SELECT = False  # a drag zooms
    COMPONENT_CLASSES: ClassVar[set[str]] = set(ROLE_CLASSES.values())
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("wall")]

    class DataWanted(Message):
        """Other data are needed: the page, the view or the size of the charts has changed."""

    @dataclass
    class CursorMoved(Message):
        """The reading cursor has moved; None follows the newest step."""

        step: int | None

    @dataclass
    class Enlarged(Message):
        """One chart is now shown alone, or no longer."""

        large: bool

    class OverlayWanted(Message):
        """The person asks to lay another run over the charts."""

    class ExportWanted(Message):
        """The person asks for files of the chosen chart."""

    def __init__(self, min_size: MinChartSize, *, id: str = "wall", step_name: str = "step") -> None:  # noqa: A002 (Textual's name)
        self._strips: dict[int, Strip] = {}
        super().__init__(id=id)
        self._min_size = min_size
        self.step_name = step_name
        """What a step is called."""
        self.specs: tuple[ChartSpec, ...] = ()
        """All charts."""
        self.data = WallData()
        """What is shown."""
        self._lines = ChartLines()
        self._shown: dict[str, list[list[TextSpan]]] = {}
        """The lines of each chart of the page, as they are on the screen."""
        self._shown_grid: Grid | None = None
        self._mouse = WallMouse(self)
        self.view = View()
        self.chosen = 0
        self.large = False
        self.cursor: int | None = None
        """The step under the reading cursor; None follows the newest step."""

    # What is shown.

    def set_charts(self, specs: Sequence[ChartSpec]) -> None:
        """Sets the charts there are; the chosen chart stays chosen."""
        if tuple(specs) == self.specs:
            return
        current = self.chosen_spec
        keys = [spec.key for spec in specs]
        self.specs = tuple(specs)
        self.chosen = keys.index(current.key) if current is not None and current.key in keys else 0
        if current is None or current.key not in keys:
            self.large = self.large and bool(keys)
        self._page_changed()

    @property
    def page(self) -> tuple[ChartSpec, ...]:
        """The charts on the screen."""
        page_grid = self._grid()
        return self.specs[page_grid.first : page_grid.first + page_grid.length]

    @property
    def chosen_spec(self) -> ChartSpec | None:
        """The chart that keys act on."""
        return self.specs[self.chosen] if self.chosen < len(self.specs) else None

    @property
    def columns(self) -> int:
        """The columns in which to read a curve: two for each cell of its chart."""
        return max(20, 2 * (self._grid().width - 8))

    def chart(self, spec: ChartSpec) -> ChartData:
        """The data of a chart."""
        return self.data.charts.get(spec.key, NO_DATA)

    def show(self, data: WallData, cursor: int | None = None) -> None:
        """Shows these data, and puts the reading cursor on a step if one is given; redraws only cells that changed."""
        before, self.data = self.data, data
        if (before.view, before.step_positions) == (data.view, data.step_positions):
            # Charts of another page stay as they were read, until they are read again.
            self.data = replace(data, charts={**before.charts, **data.charts})
        if cursor is not None:
            self.cursor = cursor
        self.redraw()

    def reset(self) -> None:
        """Forgets data, window and cursor, since another run is shown now; keeps scale, smoothing and unit."""
        self.data = WallData()
        self.view = replace(self.view, window=None)
        self.cursor = None
        self.redraw()

    def _grid(self) -> Grid:
        return grid(self.size, len(self.specs), self.chosen, self._min_size, large=self.large)

    @property
    def span(self) -> Span:
        """The positions that are shown."""
        return self.data.span(self.view.window)

    def position_text(self, step: float) -> str:
        """A step on the horizontal axis in words."""
        return position_text(self.data.step_positions.position(step), self.data.view.unit, self.step_name)

    # Drawing.

    def redraw(self) -> None:
        """Draws anew and refreshes the cells that have changed."""
        if not self.size.width or not self.is_attached:
            return
        page_grid, before, grid_before = self._grid(), self._shown, self._shown_grid
        self._shown_grid = page_grid
        self._shown = {
            spec.key: self._lines_of(spec, index, page_grid) for index, spec in enumerate(self.page, page_grid.first)
        }
        if page_grid != grid_before or list(before) != list(self._shown):
            self.refresh()
            return
        regions = []
        for index, (key, lines) in enumerate(self._shown.items(), page_grid.first):
            left, top = page_grid.origin(index)
            for y, (line, old) in enumerate(zip(lines, before[key], strict=True)):
                if line is not old and line != old:
                    begin, end = changed_cells(old, line)
                    regions.append(Region(left + begin, top + y, end - begin, 1))
                    self._strips.pop(top + y, None)
        if regions:
            self.refresh(*regions)

    def _lines_of(self, spec: ChartSpec, index: int, page_grid: Grid) -> list[list[TextSpan]]:
        span = self.span
        step, view = self.cursor, self.data.view
        marking = Marking(
            position=None if step is None else self.data.step_positions.position(step),
            selection=self._mouse.selection(index),
            chosen=index == self.chosen,
            text="" if step is None or index != self.chosen else self.position_text(step),
        )
        return self._lines.lines_of(
            spec,
            self.chart(spec),
            (page_grid.width, page_grid.height),
            span,
            replace(view, log=self.view.log),
            marking,
            colourless=self.app.no_color,
            axis_name=self.step_name,
        )

    def render_line(self, y: int) -> Strip:
        """One line of all charts that cross it."""
        kept = self._strips.get(y)
        if kept is not None:
            return kept
        if self._shown_grid is None:
            self.redraw()
        page_grid = self._shown_grid
        segments: list[Segment] = []
        if page_grid is not None:
            row, line = divmod(y, page_grid.height)
            charts = list(self._shown.values())[row * page_grid.columns : (row + 1) * page_grid.columns]
            for lines in charts if row < page_grid.rows else ():
                segments += [Segment(span.text, self._style_of(span.role)) for span in lines[line]]
        strip = Strip(segments).adjust_cell_length(self.size.width, self.base_style)
        self._strips[y] = strip
        return strip

    def _style_of(self, role: int) -> Style:
        style = self.get_component_rich_style(ROLE_CLASSES[role % MARKED]) if role % MARKED else self.base_style
        if role & MARKED:
            style += Style(bgcolor=self.get_component_rich_style(ROLE_CLASSES[MARK]).bgcolor)
        return style

    def refresh(self, *regions: Region, **options: Any) -> Self:
        """Redraws regions; without any, redraws everything, since the charts or the colours have changed."""
        if not regions:
            self._strips.clear()
        return super().refresh(*regions, **options)

    def on_resize(self, _event: Resize) -> None:
        """Fits the charts to the new size."""
        self._page_changed()

    def _page_changed(self) -> None:
        self.redraw()
        self.post_message(self.DataWanted())

    # Choosing a chart.

    def action_step_chart(self, by: int) -> None:
        """Chooses the next or the previous chart; after the last one the first."""
        if self.specs:
            self._choose((self.chosen + by) % len(self.specs))

    def action_row(self, by: int) -> None:
        """Chooses the chart below or above."""
        self._choose(self.chosen + by * (1 if self.large else self._grid().columns))

    def action_page(self, by: int) -> None:
        """Turns the page."""
        page_grid = self._grid()
        self._choose(self.chosen + by * (1 if self.large else page_grid.columns * page_grid.rows))

    def action_jump(self, to: str) -> None:
        """Chooses the `first` or the `last` chart."""
        self._choose(len(self.specs) - 1 if to == "last" else 0)

    def _choose(self, index: int) -> None:
        index = max(0, min(index, len(self.specs) - 1))
        if index != self.chosen:
            self.chosen = index
            self._page_changed()

    def action_enlarge(self) -> None:
        """Shows the chosen chart alone, or all of them again."""
        if self.specs:
            self.large = not self.large
            self.post_message(self.Enlarged(self.large))
            self._page_changed()

    # Reading values.

    def action_read(self, by: int) -> None:
        """Moves the reading cursor to the next or the previous point of the chosen chart that is shown."""
        steps = self._steps()
        if steps:
            self._read(neighbour(steps, self.cursor, by))

    def action_read_end(self, end: str) -> None:
        """Moves the reading cursor to the `first` step that is shown, or to the `last`, which it then follows."""
        if end == "last" and self.view.window is None:
            self._read(None)  # Also while the chart's points are read anew.
        elif steps := self._steps():
            self._read(steps[0 if end == "first" else -1])

    def _steps(self) -> list[int]:
        """The steps that the chosen chart has points for and shows."""
        spec = self.chosen_spec
        return [] if spec is None else self.data.steps_of(spec.key, self.span)

    def read_near(self, index: int, position: float) -> None:
        """Chooses a chart, and reads the point of it that is nearest to a position."""
        self._choose(index)
        steps = self._steps()
        if steps:
            wanted = self.data.step_positions.step(position)
            self._read(min(steps, key=lambda step: abs(step - wanted)))

    def _read(self, step: int | None) -> None:
        if step != self.cursor:
            self.cursor = step
            self.redraw()
            self.post_message(self.CursorMoved(step))

    # The view.

    def action_zoom(self, factor: float) -> None:
        """Shows fewer or more steps around the cursor, or else around the middle."""
        span = self.span
        cursor = None if self.cursor is None else self.data.step_positions.position(self.cursor)
        shown = cursor is not None and span.first <= cursor <= span.last
        self.zoom_about(cursor if cursor is not None and shown else (span.first + span.last) / 2, factor)

    def zoom_about(self, about: float, factor: float) -> None:
        """Shows `factor` times as much; a position stays where it is."""
        whole = self.data.whole
        narrowest = NARROWEST_STEPS * whole.width / max(1, self.data.steps)
        self.go_to(zoomed(self.span, whole, about, factor, narrowest))

    def action_pan(self, share: float) -> None:
        """Moves the window by a share of its width."""
        span = self.span
        self.go_to(panned(span, self.data.whole, share * span.width))

    def action_whole(self) -> None:
        """Shows all steps again."""
        self._change_view(replace(self.view, window=None))

    def go_to(self, span: Span) -> None:
        """Shows a range."""
        if span.width > 0:
            self._change_view(replace(self.view, window=self.data.window(span)))

    def action_smoothing(self) -> None:
        """Switches to the next smoothing; after the strongest to none."""
        self._change_view(self.view.smoothed_more())

    def action_scale(self) -> None:
        """Changes between a linear and a logarithmic scale."""
        self._change_view(replace(self.view, log=not self.view.log))

    def action_unit(self) -> None:
        """Changes the unit of the horizontal axis to the next one that the run journals."""
        units = [unit for unit in UNITS if unit in self.data.units]
        at = units.index(self.view.unit) if self.view.unit in units else -1
        self._change_view(replace(self.view, unit=units[(at + 1) % len(units)]))

    def _change_view(self, view: View) -> None:
        if view != self.view:
            self.view = view
            self.redraw()  # at once, with the data that are here
            self.post_message(self.DataWanted())

    def action_overlay(self) -> None:
        """Asks for another run to lay over the charts."""
        self.post_message(self.OverlayWanted())

    def action_export_chart(self) -> None:
        """Asks for files of the chosen chart."""
        self.post_message(self.ExportWanted())

    # The mouse.

    def under(self, x: int, y: int) -> PointerTarget | None:
        """What is at a cell of the wall; None if no chart is."""
        page_grid = self._grid()
        index = page_grid.index_at(x, y)
        if index is None:
            return None
        left, top = page_grid.origin(index)
        return PointerTarget(index, *self._lines.position_under(self.specs[index].key, x - left, y - top, self.span))

    def position_in(self, index: int, x: int, span: Span) -> float:
        """The position at a column of the wall, on the axis of a chart that shows this range."""
        left, _ = self._grid().origin(index)
        return self._lines.position_under(self.specs[index].key, x - left, 0, span)[0]

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Zooms in at the pointer."""
        if self._mouse.wheel(event.x, event.y, 0.5):
            event.stop()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Zooms out at the pointer."""
        if self._mouse.wheel(event.x, event.y, 2.0):
            event.stop()

    def on_mouse_down(self, event: MouseDown) -> None:
        """Begins a drag: between curves it selects what to zoom to, on the axis it moves the window."""
        if event.button == 1 and self._mouse.press(event.x, event.y):
            self.capture_mouse()

    def on_mouse_move(self, event: MouseMove) -> None:
        """Goes on with a drag."""
        self._mouse.move(event.x)

    def on_mouse_up(self, event: MouseUp) -> None:
        """Ends a drag."""
        self.release_mouse()
        self._mouse.release()

    def on_click(self, event: Click) -> None:
        """Reads a value, or enlarges a chart."""
        self._mouse.click(event.x, event.y, event.chain)
