"""What a wall of charts shows of its data: the window, the scale, the smoothing, the unit of the horizontal axis."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from looptop.engine.journal.step_positions import Unit

SMOOTHING = (0.0, 0.6, 0.9, 0.97)
"""Weights of the exponential average, through which a key cycles; 0 is no smoothing."""

UNITS: tuple[Unit, ...] = ("step", "epoch", "time")
"""Units of the horizontal axis, through which a key cycles."""

NARROWEST_STEPS = 10
"""The fewest steps that a window can show."""


class Span(NamedTuple):
    """A range of the horizontal axis."""

    first: float
    last: float

    @property
    def width(self) -> float:
        """Its length."""
        return self.last - self.first


@dataclass(frozen=True)
class View:
    """What is shown; several charts can share one.

    Attributes:
        window: The steps that are shown, whatever the unit of the axis; None shows all and follows a live run.
        log: Whether values are on a logarithmic scale.
        smoothing: The index of the weight in `SMOOTHING`.
        unit: The unit of the horizontal axis.
    """

    window: Span | None = None
    log: bool = False
    smoothing: int = 0
    unit: Unit = "step"

    @property
    def weight(self) -> float:
        """The weight of the smoothing; 0 for none."""
        return SMOOTHING[self.smoothing]

    def smoothed_more(self) -> View:
        """With the next weight; after the strongest, without smoothing."""
        return replace(self, smoothing=(self.smoothing + 1) % len(SMOOTHING))


def zoomed(span: Span, whole: Span, about: float, factor: float, narrowest: float) -> Span:
    """The range with `factor` times the width; the position `about` stays where it is on the screen.

    Args:
        span: The range that is shown.
        whole: The range of all data.
        about: A position; one that is not shown counts as the nearer edge.
        factor: Below 1 to see fewer steps, above 1 to see more.
        narrowest: The smallest width.
    """
    about = min(max(about, span.first), span.last)
    width = max(span.width * factor, min(narrowest, span.width))
    share = (about - span.first) / span.width if span.width else 0.5
    first = about - share * width
    return limited(Span(first, first + width), whole)


def panned(span: Span, whole: Span, shift: float) -> Span:
    """The range, moved by `shift` as far as there is data."""
    shift = max(min(shift, whole.last - span.last), min(0.0, whole.first - span.first))
    return Span(span.first + shift, span.last + shift)


def limited(span: Span, whole: Span) -> Span:
    """The part of the range where there is data."""
    return Span(max(span.first, whole.first), min(span.last, whole.last))


def neighbour(steps: Sequence[int], step: int | None, by: int) -> int | None:
    """The next or the previous of some steps.

    Args:
        steps: The steps, in rising order.
        step: The step to go from; None is the newest one, which may come any time.
        by: 1 or -1.

    Returns:
        None behind the last one.
    """
    if step is None:
        at = len(steps) + (by - 1 if by < 0 else 0)
    else:
        at = bisect_left(steps, step) - 1 if by < 0 else bisect_right(steps, step)
    return None if at >= len(steps) else steps[max(0, at)]


def rounded_up(count: float) -> float:
    """The smallest round number that is at least `count`: the end of a live run's axis, so that it seldom changes."""
    if count <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(count))
    return next(part * power for part in (1, 2, 3, 5, 7, 10) if part * power >= count * (1 - 1e-12))
