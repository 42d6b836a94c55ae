"""The description of a chart: its metrics, their roles, its limits; and how its curves are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from looptop.engine.journal.reader import Series
from looptop.tui.plots.curves import FAINT, TARGET, Curve, averages, envelope, numbers


class Line(NamedTuple):
    """One curve of a chart."""

    metric: str
    label: str
    role: int
    dots: bool = False


@dataclass(frozen=True)
class ChartSpec:
    """One chart."""

    key: str
    title: str
    lines: tuple[Line, ...]
    spread: str = ""
    """The metric of the first line's standard deviation, drawn around it."""
    target: float | None = None
    """The value that the first line should have."""
    lowest: float | None = None
    highest: float | None = None

    @property
    def metrics(self) -> list[str]:
        """All metrics that the chart needs."""
        return [line.metric for line in self.lines] + ([self.spread] if self.spread else [])


def curves_of(spec: ChartSpec, series: Mapping[str, Series], weight: float) -> list[Curve]:
    """The curves of a chart, smoothed; the one on top comes last."""
    curves: list[Curve] = []
    mean = series.get(spec.lines[0].metric) if spec.lines else None
    spread = series.get(spec.spread)
    if mean is not None and spread is not None:
        (steps, middle), (around_steps, around) = (
            averages(each) if weight else (each.steps, numbers(each.mean)) for each in (mean, spread)
        )
        if steps == around_steps:
            for sign in (-1, 1):
                edge = [value + sign * wide for value, wide in zip(middle, around, strict=True)]
                curves.append(Curve(FAINT, steps, edge))
    if mean is not None and mean.steps and spec.target is not None:
        curves.append(Curve(TARGET, (mean.steps[0], mean.steps[-1]), (spec.target, spec.target)))
    if weight:
        # A faint line of the smallest and largest values keeps the peaks that smoothing removes.
        for line in reversed(spec.lines):
            one = series.get(line.metric)
            if one is not None and not line.dots:
                curves.append(Curve(FAINT, *envelope(one)))
    for line in reversed(spec.lines):
        one = series.get(line.metric)
        if one is None or not one.steps:
            continue
        if line.dots:
            curves.append(Curve(line.role, one.steps, numbers(one.mean), dots=True))
        elif one.smoothed:
            curves.append(Curve(line.role, *averages(one)))
        else:
            curves.append(Curve(line.role, *envelope(one)))
    return curves
