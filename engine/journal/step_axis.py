"""Where steps lie on a chart's horizontal axis that shows epochs or training time.

Only some steps are read, however long the run is; what lies between them is interpolated.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from msgspec import Struct

from looptop.engine.encoding import storable
from looptop.engine.journal import decode
from looptop.engine.journal.records import RunState

Unit = Literal["step", "epoch", "time"]
"""The units of a horizontal axis; `time` is seconds of training, without pauses and interruptions."""

MOST_KNOWN_STEPS = 240
"""The largest number of steps that are read; a chart has about as many columns."""


class StepAxis(Struct, frozen=True):
    """Positions of steps; both lists rise, and without any known step a step is its own position."""

    steps: list[int] = []
    positions: list[float] = []

    def position(self, step: float) -> float:
        """The position of a step: interpolated, or beyond the known steps, in line with the last two."""
        return _interpolated(self.steps, self.positions, step)

    def step(self, position: float) -> float:
        """The step at a position."""
        return _interpolated(self.positions, self.steps, position)


STEPS_ONLY = StepAxis()
"""The axis on which each step is its own position."""


def _interpolated(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """The value of the line through the points, at `x`; the xs may be equal, but do not fall."""
    if len(xs) < 2:
        return x
    at = bisect_right(xs, x) if x < xs[-1] else bisect_left(xs, xs[-1])
    at = max(1, min(at, len(xs) - 1))
    left, right = xs[at - 1], xs[at]
    if right == left:
        return ys[at]
    return ys[at - 1] + (ys[at] - ys[at - 1]) * ((x - left) / (right - left))


def read_step_axis(read: Any, unit: Unit, name: str) -> StepAxis | None:
    """Reads the positions of a run's steps.

    Args:
        read: The `execute` of a connection inside a transaction.
        unit: The unit of the axis.
        name: A metric of many steps, whose times count.

    Returns:
        None if the run does not journal this unit.
    """
    if unit == "step":
        return STEPS_ONLY
    rows = _known_rows(read, "epoch" if unit == "epoch" else name)
    if unit == "epoch":
        points = [(step, decode.real(value)) for step, value, _ in rows]
    else:
        times = [(step, decode.moment_or_none(time)) for step, _, time in rows]
        known = [(step, time) for step, time in times if time is not None]
        running = _running_spans(read, [time for _, time in known])
        points = [(step, _seconds_within(running, time)) for step, time in known]
    return _rising((step, position) for step, position in points if position is not None and math.isfinite(position))


def _rising(points: Iterable[tuple[int, float]]) -> StepAxis | None:
    """The axis through these points, from step 0; None if there are none."""
    steps: list[int] = []
    positions: list[float] = []
    for step, position in points:
        if not steps and step > 0:
            steps.append(0)
            positions.append(0.0)
        if steps and step <= steps[-1]:
            continue
        steps.append(step)
        # A clock that was set back, or an epoch of another training, must not fold the curve.
        positions.append(max([position, *positions[-1:]]))
    return StepAxis(steps, positions) if len(steps) > 1 and positions[-1] > positions[0] else None


def _known_rows(read: Any, name: str) -> list[tuple[int, object, object]]:
    """Rows (step, value, time) of a metric: all of a short one, else some that lie about equally far apart."""
    row = read("SELECT id FROM names WHERE name = ?", (storable(name),)).fetchone()
    if row is None:
        return []
    low, high = read("SELECT min(step), max(step) FROM metrics WHERE name = ?", row).fetchone()
    if not isinstance(low, int) or not isinstance(high, int):
        return []
    if high - low < 2 * MOST_KNOWN_STEPS:
        every = read("SELECT step, value, time FROM metrics WHERE name = ? ORDER BY step", row).fetchall()
        return [each for each in every if isinstance(each[0], int)]
    sought = sorted({low + (high - low) * part // MOST_KNOWN_STEPS for part in range(MOST_KNOWN_STEPS + 1)})
    nearest = [
        read(
            "SELECT step, value, time FROM metrics WHERE name = ? AND step >= ? ORDER BY step LIMIT 1", (row[0], step)
        ).fetchone()
        for step in sought
    ]
    return [each for each in nearest if each is not None and isinstance(each[0], int)]


def _running_spans(read: Any, times: Sequence[float]) -> list[tuple[float, float]]:
    """The spans of time in which the run trained; `times` are those of its steps.

    A run that was killed has not journalled when. Its span ends with the last step before it was resumed, so the time
    of steps that were made again counts once. Where no state was journalled, training began with the first step.
    """
    changes = [
        (decode.moment(time), decode.text(state))
        for time, state in read("SELECT time, state FROM states ORDER BY id").fetchall()
    ]
    spans: list[tuple[float, float]] = []
    for at, (begin, state) in enumerate(changes):
        if state != RunState.RUNNING:
            continue
        end, following = changes[at + 1] if at + 1 < len(changes) else (math.inf, "")
        if following in (RunState.RUNNING, RunState.CREATED):
            end = max((time for time in times if begin <= time < end), default=begin)
        spans.append((begin, end))
    first = min(times, default=0.0)
    if not spans:
        return [(first, math.inf)]
    # Imported runs may have steps that are older than their first state.
    return [(min(first, spans[0][0]), spans[0][1]), *spans[1:]]


def _seconds_within(spans: Sequence[tuple[float, float]], moment: float) -> float:
    """The seconds of these spans until a moment."""
    return sum(min(moment, end) - begin for begin, end in spans if moment > begin)
