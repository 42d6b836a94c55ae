"""Maps a run's steps to epochs or to seconds of training, for a chart's horizontal axis.

A short run's steps are all read; a longer run's are sampled. Positions between the steps that were read are
interpolated.
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

SAMPLING_INTERVALS = 240
"""A long run's steps are cut into this many equal intervals, and one step is read at each boundary: a chart has about
as many columns. A run of fewer than twice as many steps is read whole."""


class StepPositions(Struct, frozen=True):
    """The positions of some steps, between which others are interpolated.

    `steps` increases and `positions` never decreases; with fewer than two points the mapping is the identity.
    """

    steps: list[int] = []
    positions: list[float] = []

    def position(self, step: float) -> float:
        """The position of a step: interpolated, or beyond the ends, extrapolated from the nearest two points."""
        return _interpolated(self.steps, self.positions, step)

    def step(self, position: float) -> float:
        """The step at a position, by the same rule."""
        return _interpolated(self.positions, self.steps, position)


STEPS_ONLY = StepPositions()
"""The positions for the unit `step`: each step is its own position."""


def _interpolated(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """The value, at `x`, of the line through the points. The xs never decrease, but may be equal."""
    if len(xs) < 2:
        return x
    at = bisect_right(xs, x) if x < xs[-1] else bisect_left(xs, xs[-1])
    at = max(1, min(at, len(xs) - 1))
    left, right = xs[at - 1], xs[at]
    if right == left:
        return ys[at]
    return ys[at - 1] + (ys[at] - ys[at - 1]) * ((x - left) / (right - left))


def read_step_positions(execute: Any, unit: Unit, name: str) -> StepPositions | None:
    """Reads the positions of a run's steps.

    Args:
        execute: The `execute` of a connection inside a transaction.
        unit: The unit of the positions.
        name: For `time`: the metric whose row times are used; one of many steps.

    Returns:
        None if the run has recorded nothing usable for this unit.
    """
    if unit == "step":
        return STEPS_ONLY
    rows = _rows(execute, "epoch" if unit == "epoch" else name)
    if unit == "epoch":
        points = [(step, decode.real(value)) for step, value, _ in rows]
    else:
        times = [(step, decode.moment_or_none(time)) for step, _, time in rows]
        timed = [(step, time) for step, time in times if time is not None]
        running = _running_spans(execute, [time for _, time in timed])
        points = [(step, _seconds_within(running, time)) for step, time in timed]
    return _positions_through(
        (step, position) for step, position in points if position is not None and math.isfinite(position)
    )


def _positions_through(points: Iterable[tuple[int, float]]) -> StepPositions | None:
    """The mapping through these points, from step 0, made to increase; None if their positions are all the same."""
    steps: list[int] = []
    positions: list[float] = []
    for step, position in points:
        if not steps and step > 0:
            steps.append(0)
            positions.append(0.0)
        if steps and step <= steps[-1]:
            continue
        steps.append(step)
        # A clock that was set back, or an epoch value from a different training, must not make the curve double back.
        positions.append(max([position, *positions[-1:]]))
    return StepPositions(steps, positions) if len(steps) > 1 and positions[-1] > positions[0] else None


def _rows(execute: Any, name: str) -> list[tuple[int, object, object]]:
    """Rows (step, value, time) of a metric: all of a short one, else some that lie about equally far apart."""
    name_row = execute("SELECT id FROM names WHERE name = ?", (storable(name),)).fetchone()
    if name_row is None:
        return []
    low, high = execute("SELECT min(step), max(step) FROM metrics WHERE name = ?", name_row).fetchone()
    if not isinstance(low, int) or not isinstance(high, int):
        return []
    if high - low < 2 * SAMPLING_INTERVALS:
        every = execute("SELECT step, value, time FROM metrics WHERE name = ? ORDER BY step", name_row).fetchall()
        return [each for each in every if isinstance(each[0], int)]
    sought = sorted({low + (high - low) * part // SAMPLING_INTERVALS for part in range(SAMPLING_INTERVALS + 1)})
    nearest = [
        execute(
            "SELECT step, value, time FROM metrics WHERE name = ? AND step >= ? ORDER BY step LIMIT 1",
            (name_row[0], step),
        ).fetchone()
        for step in sought
    ]
    return [each for each in nearest if each is not None and isinstance(each[0], int)]


def _running_spans(execute: Any, times: Sequence[float]) -> list[tuple[float, float]]:
    """The spans of time in which the run trained; `times` are those of its steps.

    A killed run did not record when it ended: its span ends with its last step before the resume. So the time of steps
    repeated after a resume counts once. If the run recorded no state, training began with the first step.
    """
    changes = [
        (decode.moment(time), decode.text(state))
        for time, state in execute("SELECT time, state FROM states ORDER BY id").fetchall()
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
    """How many seconds of these spans lie before `moment`."""
    return sum(min(moment, end) - begin for begin, end in spans if moment > begin)
