"""A chart of any length reads few rows, and is correct: compared with all single rows."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from looptop.engine.journal.reader import Journal, JournalWriter
from looptop.engine.journal.rows import DiscardAfter, EntryWriter, Metrics
from looptop.engine.journal.schema import BUCKET_WIDTHS, migrate
from looptop.engine.journal.series import read_series

VALUES = st.one_of(st.floats(-1e6, 1e6), st.just(math.nan), st.just(math.inf), st.just(-math.inf), st.floats(-1.0, 1.0))
ROWS = st.dictionaries(st.one_of(st.integers(0, 600), st.integers(0, 200_000)), VALUES, min_size=1, max_size=120)


def brute_force(rows: dict[int, float], span: int) -> dict[int, tuple[int, int, float | None, float | None]]:
    buckets: dict[int, list[float]] = {}
    for step, value in rows.items():
        buckets.setdefault(step // span, []).append(value)
    return {
        bucket: (
            len([value for value in values if not math.isnan(value)]),
            len([value for value in values if math.isnan(value)]),
            min((value for value in values if not math.isnan(value)), default=None),
            max((value for value in values if not math.isnan(value)), default=None),
        )
        for bucket, values in buckets.items()
    }


def tables() -> tuple[sqlite3.Connection, EntryWriter]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return connection, EntryWriter(connection)


def entries(rows: dict[int, float]) -> list[Metrics]:
    return [Metrics(step, {"loss": value}, 0.0) for step, value in rows.items()]


@given(rows=ROWS, again=ROWS, cut=st.one_of(st.none(), st.integers(-1, 700)), batches=st.integers(1, 4))
def test_buckets_hold_what_their_rows_hold(
    rows: dict[int, float], again: dict[int, float], cut: int | None, batches: int
) -> None:
    connection, writes = tables()
    for batch in range(batches):
        writes.write(entries(rows)[batch::batches])
    held = dict(rows)
    if cut is not None:
        writes.write([DiscardAfter(cut)])
        held = {step: value for step, value in held.items() if step <= cut}
    writes.write(entries(again))
    held |= again
    for span in BUCKET_WIDTHS:
        stored = {
            bucket: (count, missing, low, high)
            for bucket, count, missing, low, high in connection.execute(
                "SELECT bucket, count, missing, minimum, maximum FROM buckets WHERE span = ?", (span,)
            )
        }
        assert stored == brute_force(held, span)
    connection.close()


@given(
    rows=ROWS,
    columns=st.integers(1, 50),
    first=st.one_of(st.none(), st.integers(0, 700)),
    last=st.one_of(st.none(), st.integers(0, 200_000)),
)
def test_a_thinned_series_loses_no_extreme_and_adds_none(
    rows: dict[int, float], columns: int, first: int | None, last: int | None
) -> None:
    connection, writes = tables()
    writes.write(entries(rows))
    series = read_series(connection.execute, "loss", columns, first, last)
    connection.close()
    shown = {
        step: value
        for step, value in rows.items()
        if (first is None or step >= first) and (last is None or step <= last)
    }
    numbers = [value for value in shown.values() if not math.isnan(value)]
    assert len(series.steps) <= columns + 2
    assert series.steps == sorted(series.steps)
    assert all(min(shown) <= step <= max(shown) for step in series.steps)
    assert min((low for low in series.minimum if low is not None), default=None) == min(numbers, default=None)
    assert max((high for high in series.maximum if high is not None), default=None) == max(numbers, default=None)
    assert sum(series.missing) == len(shown) - len(numbers)


def test_means_are_those_of_the_rows(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "run.db")
    for step in range(5000):
        writer.metrics(step, {"loss": float(step)})
    writer.close()
    series = Journal(writer.path).series("loss", buckets=10)
    width = 512
    for column, mean in enumerate(series.mean):
        rows = range(column * width, min((column + 1) * width, 5000))
        assert mean == sum(rows) / len(rows)


def test_a_spike_of_one_step_is_seen_from_afar_without_reading_all_rows() -> None:
    connection, writes = tables()
    writes.write(entries({step: 100.0 if step == 76_543 else 1.0 for step in range(100_000)}))
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    # SQLite's own count of virtual-machine instructions: a scan of all rows would take about a million.
    connection.set_progress_handler(count, 100)
    series = read_series(connection.execute, "loss", 160, None, None)
    connection.close()
    assert max(series.maximum, key=lambda value: value or 0.0) == 100.0
    assert len(series.steps) <= 162
    assert steps * 100 < 300_000
