"""Thins a metric for a chart: reads coarse buckets where possible, and single rows only at the edges."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from looptop.engine.encoding import storable
from looptop.engine.journal import decode
from looptop.engine.journal.records import Series
from looptop.engine.journal.schema import BUCKET_WIDTHS

# A column is a whole number of buckets wide. The steps before the first and after the last whole bucket are read from
# finer buckets.
_COLUMNS = """
SELECT part / ? AS number, total(sum), total(count), min(minimum), max(maximum), total(missing), max(gone)
FROM ({parts})
GROUP BY number ORDER BY number
"""
_FROM_ROWS = """
SELECT step AS part, value AS sum, value IS NOT NULL AS count, value AS minimum, value AS maximum,
    value IS NULL AS missing, 0 AS gone
FROM metrics WHERE name = ? AND step BETWEEN ? AND ?
"""
_FROM_BUCKETS = """
SELECT bucket * span AS part, sum, count, minimum, maximum, missing, sum IS NULL AS gone
FROM buckets WHERE name = ? AND span = ? AND bucket BETWEEN ? AND ?
"""


def read_series(read: Any, name: str, max_columns: int, first: int | None, last: int | None) -> Series:
    """A metric between two steps (both included), in about `max_columns` columns at most.

    Args:
        read: The `execute` of a connection inside a transaction.
        name: The metric.
        max_columns: The number of columns of the chart.
        first: The first step; None for the metric's first.
        last: The last step; None for the metric's last.
    """
    columns = max(1, max_columns)
    row = read("SELECT id FROM names WHERE name = ?", (storable(name),)).fetchone()
    if row is None:
        return Series([], [], [], [], [])
    name_id = row[0]
    low = read(
        "SELECT min(step) FROM metrics WHERE name = ? AND step >= ?", (name_id, -(2**63) if first is None else first)
    ).fetchone()[0]
    high = read(
        "SELECT max(step) FROM metrics WHERE name = ? AND step <= ?", (name_id, 2**63 - 1 if last is None else last)
    ).fetchone()[0]
    if not isinstance(low, int) or not isinstance(high, int) or high < low:
        return Series([], [], [], [], [])
    points = read(
        "SELECT step, value FROM metrics WHERE name = ? AND step BETWEEN ? AND ? ORDER BY step LIMIT ?",
        (name_id, low, high, columns + 1),
    ).fetchall()
    if len(points) <= columns:
        values = [decode.real(value) for _, value in points]
        return Series([step for step, _ in points], values, values, values, [int(value is None) for value in values])
    span, width = _column_width(high - low + 1, columns)
    parts: list[str] = []
    parameters: list[int] = [width]
    for size, start, end in _segments(low, high, [each for each in (*reversed(BUCKET_WIDTHS), 1) if each <= span]):
        parts.append(_FROM_BUCKETS if size > 1 else _FROM_ROWS)
        parameters += [name_id, size, start // size, end // size] if size > 1 else [name_id, start, end]
    rows = read(_COLUMNS.format(parts=" UNION ALL ".join(parts)), parameters).fetchall()
    return Series(
        steps=[min(max(bucket * width + width // 2, low), high) for bucket, *_ in rows],
        mean=[_mean(total, count, gone) for _, total, count, _, _, _, gone in rows],
        minimum=[decode.real(minimum) for _, _, _, minimum, _, _, _ in rows],
        maximum=[decode.real(maximum) for _, _, _, _, maximum, _, _ in rows],
        missing=[int(missing) for _, _, _, _, _, missing, _ in rows],
    )


NEGLECTED_WEIGHT = 1e-9
"""The weight, in an exponential average, of all values that are too old to be read for it."""


def read_smoothed(read: Any, name: str, steps: Sequence[int], weight: float) -> list[tuple[int, float | None]]:
    """A metric's exponential average as in TensorBoard: over every value, one-sided, with bias correction at the start.

    It depends neither on the requested steps nor on later values.

    Args:
        read: The `execute` of a connection inside a transaction.
        name: The metric.
        steps: The steps to compute it for, in rising order; each uses the metric's last value up to it.
        weight: The weight of the previous average at each value, from 0 to less than 1.

    Returns:
        Steps that have a value, and the average there; None if the value is not a finite number.
    """
    row = read("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
    if row is None or not steps:
        return []
    memory = max(1, math.ceil(math.log(NEGLECTED_WEIGHT) / math.log(weight)))
    begin = read(
        "SELECT step FROM metrics WHERE name = ? AND step <= ? ORDER BY step DESC LIMIT 1 OFFSET ?",
        (row[0], steps[0], memory),
    ).fetchone()
    limit = memory * len(steps)
    rows = read(
        "SELECT step, value FROM metrics WHERE name = ? AND step BETWEEN ? AND ? ORDER BY step LIMIT ?",
        (row[0], begin[0] if begin else -(2**63), steps[-1], limit + 1),
    ).fetchall()
    if len(rows) > limit:  # more than computing each step on its own would read
        return _averages_step_by_step(read, row[0], steps, weight, memory)
    return _averages(rows, steps, weight)


def _averages_step_by_step(
    read: Any, name_id: int, steps: Sequence[int], weight: float, memory: int
) -> list[tuple[int, float | None]]:
    smoothed: dict[int, float | None] = {}
    for step in steps:
        rows = read(
            "SELECT step, value FROM metrics WHERE name = ? AND step <= ? ORDER BY step DESC LIMIT ?",
            (name_id, step, memory),
        ).fetchall()
        if rows:
            smoothed.update(_averages(rows[::-1], (step,), weight))
    return list(smoothed.items())


def _averages(
    rows: Sequence[tuple[int, float | None]], steps: Sequence[int], weight: float
) -> list[tuple[int, float | None]]:
    """The averages at the last row up to each of `steps`; None where that row's value is not a finite number."""
    smoothed: dict[int, float | None] = {}
    rest, total, share, at = 1 - weight, 0.0, 0.0, 0
    last: int | None = None
    average: float | None = None
    for step, value in rows:
        while at < len(steps) and steps[at] < step:
            if last is not None:
                smoothed[last] = average
            at += 1
        if value is None or not math.isfinite(value):
            average = None
        else:
            total = weight * total + rest * value
            share = weight * share + rest
            average = total / share
        last = step
    if last is not None and at < len(steps):
        smoothed[last] = average
    return list(smoothed.items())


def _segments(low: int, high: int, spans: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Whole buckets that cover the steps from `low` to `high`, as (span, first step, last step), the widest inside.

    Args:
        low: The first step.
        high: The last step.
        spans: The spans that may be used, the widest first; the last one is 1.
    """
    if low > high:
        return
    span, *finer = spans
    inner, outer = -(-low // span) * span, (high + 1) // span * span
    if inner >= outer:
        yield from _segments(low, high, finer)
        return
    yield from _segments(low, inner - 1, finer)
    yield span, inner, outer - 1
    yield from _segments(outer, high, finer)


def _column_width(steps: int, columns: int) -> tuple[int, int]:
    """The span of the buckets to read (1 for single rows), and the width of a column in steps, a multiple of it."""
    least = -(-steps // columns)
    span = max((span for span in (1, *BUCKET_WIDTHS) if span <= least), default=1)
    # SQLite takes no number of 2**63 or more.
    return span, min(-(-least // span) * span, 2**63 - 1)


def _mean(total: float | None, count: float, gone: int) -> float | None:
    """The mean; None if there is no value, or if infinities of both signs leave no sum."""
    return total / count if count and not gone and total is not None else None
