"""One chart with axes, with the step under the cursor marked, and its figures in the title."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from textual.content import Content

from looptop.tui.plots.chart import Chart
from looptop.tui.plots.curves import FIRST, FOURTH, MARK, SECOND, THIRD, Axes, Curve
from looptop.tui.plots.spec import ChartSpec
from looptop.tui.text import safe, short_number

_COLOURS = {FIRST: "$primary", SECOND: "$secondary", THIRD: "$success", FOURTH: "$error"}


class LargeChart(Chart):
    """Curves over steps."""

    def draw(
        self,
        spec: ChartSpec,
        curves: Sequence[Curve],
        axes: Axes,
        mark: int | None,
        figures: Mapping[str, float | None],
        weight: float,
    ) -> None:
        """Shows a chart.

        Args:
            spec: The chart.
            curves: Its curves.
            axes: Its ranges of steps and values.
            mark: The step under the cursor.
            figures: The values at that step, by metric.
            weight: The weight of the smoothing.
        """
        title = _title(spec, figures, weight)
        if title != self.border_title:
            self.border_title = title
        inside = [_within(curve, axes) for curve in curves]
        values = [value for curve in inside for value in curve.values if math.isfinite(value)]
        if mark is not None and values:
            inside.insert(0, Curve(MARK, (mark, mark), (min(values), max(values))))
        self.show(inside, Axes(axes.first, axes.last))


def _title(spec: ChartSpec, figures: Mapping[str, float | None], weight: float) -> Content:
    parts: list[Content] = [safe(spec.title, "bold")]
    for line in spec.lines:
        figure = short_number(figures.get(line.metric))
        sign = "•" if line.dots else "━"
        if line.dots and figure == "·":
            parts.append(safe(f"  {sign} {line.label}", _COLOURS[line.role]))
        else:
            parts.append(safe(f"  {sign} {line.label} {figure}".replace("  ", " ", 1), _COLOURS[line.role]))
    if spec.spread:
        parts.append(Content.styled("  ± one standard deviation", "$text-muted"))
    if spec.target is not None:
        parts.append(Content.styled(f"  target {spec.target:g}", "$text-muted"))
    if weight:
        parts.append(Content.styled(f"  smoothed {weight:g}", "$text-muted"))
    return Content.assemble(*parts)


def _within(curve: Curve, axes: Axes) -> Curve:
    """The curve, cut to the limits of the chart's values, if it has any."""
    low = -math.inf if axes.lowest is None else axes.lowest
    high = math.inf if axes.highest is None else axes.highest
    return curve._replace(values=[max(low, min(value, high)) if value == value else value for value in curve.values])
