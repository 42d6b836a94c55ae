"""Thins a metric for a chart: reads the coarser buckets where they are enough, and single rows only at the edges."""

from __future__ import annotations

from typing import Any

from looptop.engine.runs.records import Series
from looptop.engine.runs.schema import SPANS

# Columns are whole buckets wide. What lies before the first whole bucket, or after the last, is read row by row.
_COLUMNS = """
SELECT part / :width AS place, total(sum), total(count), min(minimum), max(maximum), total(missing), max(gone) FROM (
    SELECT step AS part, value AS sum, value IS NOT NULL AS count, value AS minimum, value AS maximum,
        value IS NULL AS missing, 0 AS gone
    FROM metrics WHERE name = :name AND step BETWEEN :first AND :inner - 1
    UNION ALL
    SELECT step, value, value IS NOT NULL, value, value, value IS NULL, 0
    FROM metrics WHERE name = :name AND step BETWEEN :outer AND :last
    UNION ALL
    SELECT bucket * :span, sum, count, minimum, maximum, missing, sum IS NULL
    FROM buckets WHERE name = :name AND span = :span AND bucket BETWEEN :inner / :span AND :outer / :span - 1
) GROUP BY place ORDER BY place
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
    row = read("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
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
    # Whole buckets lie from `inner` up to `outer`; single steps have no bucket, and all rows are the first edge.
    inner = min(-(-low // span) * span, high + 1) if span > 1 else high + 1
    outer = max((high + 1) // span * span, inner)
    rows = read(
        _COLUMNS,
        {"name": name_id, "span": span, "width": width, "first": low, "last": high, "inner": inner, "outer": outer},
    ).fetchall()
    return Series(
        steps=[min(max(place * width + width // 2, low), high) for place, *_ in rows],
        mean=[_mean(total, count, gone) for _, total, count, _, _, _, gone in rows],
        minimum=[minimum for _, _, _, minimum, _, _, _ in rows],
        maximum=[maximum for _, _, _, _, maximum, _, _ in rows],
        missing=[int(missing) for _, _, _, _, _, missing, _ in rows],
    )


def _grain(steps: int, columns: int) -> tuple[int, int]:
    """The span of the buckets to read (1 for single rows), and the width of a column in steps, a multiple of it."""
    wanted = -(-steps // columns)
    span = max((span for span in (1, *SPANS) if span <= wanted), default=1)
    return span, -(-wanted // span) * span


def _mean(total: float | None, count: float, gone: int) -> float | None:
    """None where there is no value, or where infinities of both signs leave no sum."""
    return total / count if count and not gone and total is not None else None
