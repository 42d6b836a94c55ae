"""The description of a chart: its metrics, their roles, its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Line(NamedTuple):
    """One curve of a chart."""

    metric: str
    label: str
    role: int
    dots: bool = False
    """Whether it has few points, which are marked."""


@dataclass(frozen=True)
class ChartSpec:
    """One chart.

    Attributes:
        key: Its name for programs.
        title: Its name for people; may be text from outside.
        lines: Its curves, the most important first.
        spread: The metric of the first line's standard deviation, drawn around it.
        target: The value that the first line should have.
        lowest: The lower end of the axis of values; None takes it from the data.
        highest: The upper end; likewise.
        percent: Whether the values are shares, written in percent.
        decimals: Decimals of the figures in the title; None for as many as each needs.
    """

    key: str
    title: str
    lines: tuple[Line, ...]
    spread: str = ""
    target: float | None = None
    lowest: float | None = None
    highest: float | None = None
    percent: bool = False
    decimals: int | None = None

    @property
    def metrics(self) -> list[str]:
        """All metrics that the chart needs."""
        return [line.metric for line in self.lines] + ([self.spread] if self.spread else [])
