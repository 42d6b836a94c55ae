"""All charts of a run, each a few cells large: a name, the figures of one step, and a curve with that step marked.

One widget draws all of them, because the layout of many small widgets would cost more than the drawing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

from rich.segment import Segment
from rich.style import Style
from textual.events import Click, Resize
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from looptop.tui.plots.curves import ROLE_CLASSES, Axes, Curve
from looptop.tui.plots.raster import Picture, column_of, draw_small
from looptop.tui.plots.scales import LABEL_WIDTH, edge, edges
from looptop.tui.plots.spec import ChartSpec
from looptop.tui.text import short_number
from looptop.tui.widgets.style_cache import StyleCache

LEGEND_MIN_HEIGHT = 6
"""From this height in lines on, a chart has a line for the curves' names."""
FIGURES_WIDTH = 18
"""The width of a title, in cells, from which it shows figures."""
MIN_CHART_WIDTH = 25
"""The smallest width of a chart in cells, with the gap to the next."""


class Drawn(NamedTuple):
    """One chart as it was drawn."""

    curves: Sequence[Curve]
    axes: Axes
    size: tuple[int, int]
    picture: Picture | None


class SmallCharts(StyleCache, can_focus=False):
    """All charts, in rows and columns."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*ROLE_CLASSES.values(), "chart--title", "chart--chosen"}

    @dataclass
    class Picked(Message):
        """A chart was clicked; twice enlarges it."""

        index: int
        enlarge: bool

    def __init__(self, *, id: str) -> None:  # noqa: A002 (Textual's name)
        self._kept_lines: dict[tuple[str, int], list[Segment]] = {}
        """Drawn lines of charts without the mark, by the chart's key."""
        super().__init__(id=id)
        self._specs: Sequence[ChartSpec] = ()
        self._drawn: dict[str, Drawn] = {}
        self._figures: Mapping[str, float | None] = {}
        self._mark: int | None = None
        self._weight = 0.0
        self.chosen = 0

    # What is shown.

    def show(
        self,
        specs: Sequence[ChartSpec],
        curves: Mapping[str, Sequence[Curve]],
        axes: Mapping[str, Axes],
        weight: float = 0.0,
    ) -> None:
        """Draws the charts whose curves have changed.

        Args:
            specs: All charts.
            curves: The curves of each chart, by its key.
            axes: The axes of each chart, by its key.
            weight: The weight of the curves' smoothing; 0 for none.
        """
        fresh = specs != self._specs or weight != self._weight
        self._specs, self._weight = specs, weight
        width, height = self._room()
        for spec in specs:
            size = (width - LABEL_WIDTH - 1, height - self._lines_above(spec, (width, height)))
            before = self._drawn.get(spec.key)
            wanted, ax = curves.get(spec.key, ()), axes[spec.key]
            if before is None or (before.curves, before.axes, before.size) != (wanted, ax, size):
                self._drawn[spec.key] = Drawn(wanted, ax, size, draw_small(wanted, ax, *size))
                fresh = True
        if fresh:
            self.refresh()

    def mark(self, step: int | None, figures: Mapping[str, float | None]) -> None:
        """Marks a step on all charts, and shows its figures above them."""
        if (step, figures) == (self._mark, self._figures):
            return
        before, (self._mark, self._figures) = self._marked_cells(), (step, figures)
        width, height = self.size
        if self._marked_cells() != before:
            self.refresh(Region(0, 0, width, height))
            return
        # In a long run a cell covers many batches, so often only the figures above the curve change.
        self.refresh(*(Region(0, y, width, 1) for y in range(0, height, self._room()[1])))

    def _marked_cells(self) -> list[int | None]:
        """The cell of the marked batch in each chart."""
        room, step = self._room()[0] - LABEL_WIDTH - 1, self._mark
        return [None if step is None else column_of(step, drawn.axes, room) for drawn in self._drawn.values()]

    def choose(self, index: int) -> None:
        """Moves the cursor to a chart."""
        across, height = self.across, self._room()[1]
        titles = {at // across * height for at in (self.chosen, index)}
        self.chosen = index
        self.refresh(*(Region(0, y, self.size.width, 1) for y in titles))

    @property
    def plot_columns(self) -> int:
        """The columns in which to read a curve: two for each cell."""
        return max(20, 2 * (self._room()[0] - LABEL_WIDTH - 1))

    @property
    def across(self) -> int:
        """The number of charts in a row."""
        count = max(1, len(self._specs) or 12)
        most = max(1, min(count, self.size.width // MIN_CHART_WIDTH))
        rows = -(-count // most)
        return -(-count // rows)

    def _room(self) -> tuple[int, int]:
        """Width and height of one chart in cells, with its title and the gap."""
        across = self.across
        rows = -(-max(1, len(self._specs) or 12) // across)
        return max(1, self.size.width // across), max(2, self.size.height // rows)

    def on_resize(self, _event: Resize) -> None:
        """Redraws for the new size."""
        drawn = self._drawn
        self.show(
            self._specs,
            {key: chart.curves for key, chart in drawn.items()},
            {spec.key: drawn[spec.key].axes for spec in self._specs},
            self._weight,
        )

    def on_click(self, event: Click) -> None:
        """Chooses the chart."""
        width, height = self._room()
        index = event.y // height * self.across + min(event.x // width, self.across - 1)
        if index < len(self._specs):
            self.post_message(self.Picked(index, event.chain == 2))

    # Drawing.

    def render_line(self, y: int) -> Strip:
        """One line of one row of charts."""
        width, height = self._room()
        row, line = divmod(y, height)
        across = self.across
        specs = self._specs[row * across : (row + 1) * across]
        segments: list[Segment] = []
        for column, spec in enumerate(specs):
            above = self._lines_above(spec, (width, height))
            if line == 0:
                segments += self._title(spec, row * across + column == self.chosen, width, named=above == 1)
            elif line < above:
                segments += self._legend(spec, width)
            else:
                segments += self._plot_line(spec, line - above, width)
        return Strip(segments).adjust_cell_length(self.size.width, self.base_style)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"chart--{name}")

    def _style_of(self, role: int) -> Style:
        return self.get_component_rich_style(ROLE_CLASSES[role])

    def _lines_above(self, spec: ChartSpec, size: tuple[int, int]) -> int:
        """The number of lines above the curve: a title, and the curves' names if there is room."""
        return (
            2
            if size[1] >= LEGEND_MIN_HEIGHT and sum(1 for line in spec.lines if line.label and not line.dots) > 1
            else 1
        )

    def _legend(self, spec: ChartSpec, width: int) -> list[Segment]:
        segments, room = [Segment(" " * LABEL_WIDTH, self.base_style)], width - LABEL_WIDTH
        for line in spec.lines:
            word = f" {line.label}"
            if len(word) <= room:
                segments.append(Segment(word, self._style_of(line.role)))
                room -= len(word)
        return [*segments, Segment(" " * room, self.base_style)]

    def _title(self, spec: ChartSpec, chosen: bool, width: int, *, named: bool) -> list[Segment]:
        """The chart's name, and each curve's figure at the marked batch in the curve's colour."""
        room = width - 1
        title = f" {spec.title} "
        segments = [Segment(title, self._style("chosen" if chosen else "title"))]
        room -= len(title)
        if self._weight:
            word = f"smoothed {self._weight:g} "
            word = word if room >= len(word) + FIGURES_WIDTH else f"~{self._weight:g} "
            segments.append(Segment(word, self._style("target")))
            room -= len(word)
        figures = [(line, short_number(self._figures.get(line.metric), _decimals(spec))) for line in spec.lines]
        figures = [(line, figure) for line, figure in figures if not line.dots or figure != "·"]
        with_names = [
            f" {line.label} {figure}" if line.label and not line.dots else f" {figure}" for line, figure in figures
        ]
        # Either all figures have their names, or none has.
        bare = [f" {figure}" for _, figure in figures]
        words = with_names if named and sum(map(len, with_names)) <= room else bare
        for (line, _), word in zip(figures, words, strict=True):
            if len(word) > room:
                break
            segments.append(Segment(word, self._style_of(line.role)))
            room -= len(word)
        if spec.spread and (spread := short_number(self._figures.get(spec.spread))) != "·" and len(spread) + 2 <= room:
            segments.append(Segment(f" ±{spread}", self._style("axis")))
            room -= len(spread) + 2
        if spec.target is not None and len(target := f" of {spec.target:g}") <= room:
            segments.append(Segment(target, self._style("target")))
            room -= len(target)
        return [*segments, Segment(" " * (room + 1), self.base_style)]

    def _plot_line(self, spec: ChartSpec, line: int, width: int) -> list[Segment]:
        """A line of a chart, with the mark on it."""
        drawn = self._drawn.get(spec.key)
        if drawn is None or drawn.picture is None or line >= len(drawn.picture.lines):
            return [Segment(" " * width, self.base_style)]
        kept = self._kept_lines.get((spec.key, line))
        if kept is None:
            kept = self._kept_lines[spec.key, line] = self._curve_line(drawn.picture, line)
        at = None if self._mark is None else column_of(self._mark, drawn.axes, width - LABEL_WIDTH - 1)
        return kept if at is None else self._marked(kept, LABEL_WIDTH + at)

    def _marked(self, segments: Sequence[Segment], at: int) -> list[Segment]:
        """The segments with a mark on one cell."""
        mark, out = Style(bgcolor=self._style("mark").bgcolor), list[Segment]()
        for text, style, _ in segments:
            if 0 <= at < len(text):
                marked = text[at] if text[at] != " " else "┊"
                out += [
                    Segment(text[:at], style),
                    Segment(marked, (style or self.base_style) + mark),
                    Segment(text[at + 1 :], style),
                ]
            else:
                out.append(Segment(text, style))
            at -= len(text)
        return out

    def _curve_line(self, picture: Picture, line: int) -> list[Segment]:
        """A label, and the curves' part of a line."""
        label = label_of(picture, line)
        segments = [Segment(f"{label:>{LABEL_WIDTH - 1}}▏", self._style("axis"))]
        for run in picture.lines[line]:
            style = self._style_of(run.role) if run.role else self.base_style
            segments.append(Segment(run.text, style))
        return [*segments, Segment(" ", self.base_style)]

    def refresh(self, *regions: Region, **options: Any) -> Self:
        """Redraws regions; without any, redraws everything, since the curves or the colours have changed."""
        if not regions:
            self._kept_lines.clear()
        return super().refresh(*regions, **options)


def _decimals(spec: ChartSpec) -> int:
    return 3 if spec.key in ("policy_loss", "kl_coef", "clipfrac") else 2


def label_of(picture: Picture, line: int) -> str:
    """The label at the left of a chart's line: the ends of the axis, or the value of a constant."""
    last = len(picture.lines) - 1
    if picture.constant is not None and line == (0 if last < 2 else (last + 1) // 2):
        return edge(picture.constant, abs(picture.constant))
    if line not in (0, last) or (picture.constant is not None and last < 2):
        return ""
    low, high = edges(picture.lowest, picture.highest)
    return high if line == 0 else low
