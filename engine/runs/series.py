"""Thins a metric for a chart: reads the coarser buckets where they are enough, and single rows only at the edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from looptop.engine.encoding import storable
from looptop.engine.runs.records import Series
from looptop.engine.runs.schema import SPANS

# Columns are whole buckets wide. What lies before the first whole bucket, or after the last, is read from finer ones.
_COLUMNS = """
SELECT part / ? AS place, total(sum), total(count), min(minimum), max(maximum), total(missing), max(gone) FROM ({parts})
GROUP BY place ORDER BY place
"""
_OF_ROWS = """
SELECT step AS part, value AS sum, value IS NOT NULL AS count, value AS minimum, value AS maximum,
    value IS NULL AS missing, 0 AS gone
FROM metrics WHERE name = ? AND step BETWEEN ? AND ?
"""
_OF_BUCKETS = """
SELECT bucket * span AS part, sum, count, minimum, maximum, missing, sum IS NULL AS gone
FROM buckets WHERE name = ? AND span = ? AND bucket BETWEEN ? AND ?
"""


def read_series(read: Any, name: str, buckets: int, first: int | None, last: int | None) -> Series:
    """A metric between two steps (both included), in at most about `buckets` columns.

    Args:
        read: The `execute` of a connection that is inside a transaction.
        name: The metric.
        buckets: How many columns there is room for.
        first: The first step; None for the metric's first.
        last: The last step; None for the metric's last.
    """
    columns = max(1, buckets)
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
    if low is None or high is None or high < low:
        return Series([], [], [], [], [])
    few = read(
        "SELECT step, value FROM metrics WHERE name = ? AND step BETWEEN ? AND ? ORDER BY step LIMIT ?",
        (name_id, low, high, columns + 1),
    ).fetchall()
    if len(few) <= columns:
        values = [value for _, value in few]
        return Series([step for step, _ in few], values, values, values, [int(value is None) for value in values])
    span, width = _grain(high - low + 1, columns)
    parts: list[str] = []
    bound: list[int] = [width]
    for size, start, end in _segments(low, high, [each for each in (*reversed(SPANS), 1) if each <= span]):
        parts.append(_OF_BUCKETS if size > 1 else _OF_ROWS)
        bound += [name_id, size, start // size, end // size] if size > 1 else [name_id, start, end]
    rows = read(_COLUMNS.format(parts=" UNION ALL ".join(parts)), bound).fetchall()
    return Series(
        steps=[min(max(place * width + width // 2, low), high) for place, *_ in rows],
        mean=[_mean(total, count, gone) for _, total, count, _, _, _, gone in rows],
        minimum=[minimum for _, _, _, minimum, _, _, _ in rows],
        maximum=[maximum for _, _, _, _, maximum, _, _ in rows],
        missing=[int(missing) for _, _, _, _, _, missing, _ in rows],
    )


def _segments(low: int, high: int, spans: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Whole buckets that cover the steps from `low` to `high`, as (span, first step, last step), the widest inside.

    Args:
        low: The first step.
        high: The last step.
        spans: That may be used, the widest first; the last one is 1.
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


def _grain(steps: int, columns: int) -> tuple[int, int]:
    """The span of the buckets to read (1 for single rows), and the width of a column in steps, a multiple of it."""
    wanted = -(-steps // columns)
    span = max((span for span in (1, *SPANS) if span <= wanted), default=1)
    return span, -(-wanted // span) * span


def _mean(total: float | None, count: float, gone: int) -> float | None:
    """None where there is no value, or where infinities of both signs leave no sum."""
    return total / count if count and not gone and total is not None else None
