"""Writes journal entries into the tables, and sums up metrics in buckets of many steps.

Everything here runs inside a transaction of the writer. A bucket holds the count, sum, minimum and maximum of the
values of its steps, so a chart of five million steps reads some hundred rows and still shows a spike of a single step.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from looptop.engine.encoding import storable
from looptop.engine.journal.records import AnswerSample
from looptop.engine.journal.schema import BUCKET_WIDTHS, TOKEN_KEY_STRIDE


class Metrics(NamedTuple):
    """The values of one step."""

    step: int
    values: dict[str, float]
    time: float


class Answers(NamedTuple):
    """The recorded answers of one evaluation."""

    step: int
    samples: tuple[AnswerSample, ...]


class DiscardAfter(NamedTuple):
    """A resume: deletes what later steps recorded, and marks events of later steps as superseded."""

    after_step: int


class Statement(NamedTuple):
    """Any other entry that is one row."""

    sql: str
    values: tuple[object, ...]


class Statements(NamedTuple):
    """An entry of several rows of one table."""

    sql: str
    rows: tuple[tuple[object, ...], ...]


class FlushMark(NamedTuple):
    """Writes nothing: its event is set when all entries before it are in the file."""

    reached: threading.Event


Entry = Metrics | Answers | DiscardAfter | Statement | Statements | FlushMark

INSERT_EVENT = "INSERT INTO events (time, step, kind, level, text, code) VALUES (?, ?, ?, ?, ?, ?)"
INSERT_STATE = "INSERT INTO states (time, state, reason, cause) VALUES (?, ?, ?, ?)"
INSERT_FACT = "INSERT OR REPLACE INTO facts VALUES (?, ?)"
INSERT_CONTROL = "INSERT OR REPLACE INTO controls VALUES (?, ?, ?, ?, ?, ?, ?)"

_ADD_TO_BUCKET = """
INSERT INTO buckets VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    count = count + excluded.count,
    missing = missing + excluded.missing,
    sum = sum + excluded.sum,
    minimum = min(coalesce(minimum, excluded.minimum), coalesce(excluded.minimum, minimum)),
    maximum = max(coalesce(maximum, excluded.maximum), coalesce(excluded.maximum, maximum))
"""

_BUCKET_OF_ROWS = """
INSERT OR REPLACE INTO buckets
SELECT name, ?, ?, count(value), count(*) - count(value), total(value), min(value), max(value)
FROM metrics WHERE name = ? AND step BETWEEN ? AND ? GROUP BY name
"""


class EntryWriter:
    """Writes entries through one connection.

    Caches the ids and last steps of the metrics; call `forget` after a transaction is rolled back.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ids: dict[str, int] = {}
        self._last: dict[int, int] = {}

    def forget(self) -> None:
        """Clears the cache."""
        self._ids.clear()
        self._last.clear()

    def write(self, entries: Iterable[Entry]) -> None:
        """Writes entries in order."""
        metrics: list[Metrics] = []
        for entry in entries:
            if isinstance(entry, Metrics):
                metrics.append(entry)
                continue
            self._write_metrics(metrics)
            metrics = []
            if isinstance(entry, Statement):
                self._connection.execute(entry.sql, entry.values)
            elif isinstance(entry, Statements):
                self._connection.executemany(entry.sql, entry.rows)
            elif isinstance(entry, Answers):
                self._write_answers(entry)
            elif isinstance(entry, DiscardAfter):
                self._discard_after(entry.after_step)
        self._write_metrics(metrics)
        self._connection.execute("UPDATE changes SET count = count + 1")

    def _write_metrics(self, metrics: Sequence[Metrics]) -> None:
        if not metrics:
            return
        rows: list[tuple[int, int, float, float]] = []
        rewritten: set[tuple[int, int]] = set()
        for step, values, time in metrics:
            for metric, value in values.items():
                name = self._id(metric)
                if step <= self._last[name]:
                    rewritten.add((name, step))
                else:
                    self._last[name] = step
                rows.append((name, step, value, time))
        self._connection.executemany("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?)", rows)
        fresh = [row for row in rows if (row[0], row[1]) not in rewritten] if rewritten else rows
        self._connection.executemany(_ADD_TO_BUCKET, _buckets(fresh))
        for name, span, bucket in {(name, span, step // span) for name, step in rewritten for span in BUCKET_WIDTHS}:
            self._rebuild(name, span, bucket)

    def _write_answers(self, entry: Answers) -> None:
        self._connection.execute("DELETE FROM answer_samples WHERE step = ?", (entry.step,))
        self._connection.executemany(
            "INSERT INTO answer_samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    entry.step,
                    index,
                    sample.question_id,
                    sample.image,
                    sample.question,
                    sample.truth,
                    sample.answer,
                    sample.confidence,
                    sample.correct,
                )
                for index, sample in enumerate(entry.samples)
            ],
        )

    def _discard_after(self, after_step: int) -> None:
        run = self._connection.execute
        for (name,) in run("SELECT id FROM names").fetchall():
            run("DELETE FROM metrics WHERE name = ? AND step > ?", (name, after_step))
            for span in BUCKET_WIDTHS:
                # Floor division: if nothing is left (after_step -1), this is bucket -1, which does not exist.
                border = after_step // span
                run("DELETE FROM buckets WHERE name = ? AND span = ? AND bucket >= ?", (name, span, border))
                self._rebuild(name, span, border)
        # What a person changed by hand stays: it is applied again when the batch is made again.
        for table in ("answer_samples", "completions", "ppo_batches", "ppo_samples", "question_losses", "evaluations"):
            run(f"DELETE FROM {table} WHERE step > ?", (after_step,))
        run("DELETE FROM ppo_tokens WHERE place >= ?", ((after_step + 1) * TOKEN_KEY_STRIDE,))
        run("UPDATE events SET superseded = 1 WHERE step > ?", (after_step,))
        self.forget()

    def _rebuild(self, name: int, span: int, bucket: int) -> None:
        first = bucket * span
        self._connection.execute(_BUCKET_OF_ROWS, (span, bucket, name, first, first + span - 1))

    def _id(self, name: str) -> int:
        number = self._ids.get(name)
        if number is None:
            row = (storable(name),)
            self._connection.execute("INSERT OR IGNORE INTO names (name) VALUES (?)", row)
            (number,) = self._connection.execute("SELECT id FROM names WHERE name = ?", row).fetchone()
            (last,) = self._connection.execute("SELECT max(step) FROM metrics WHERE name = ?", (number,)).fetchone()
            self._ids[name] = number
            self._last[number] = -(2**63) if last is None else last
        return number


class _Bucket:
    """What one transaction adds to a bucket."""

    __slots__ = ("count", "maximum", "minimum", "missing", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.missing = 0
        self.sum = 0.0
        self.minimum: float | None = None
        self.maximum: float | None = None

    def add(self, value: float) -> None:
        if value != value:  # NaN
            self.missing += 1
            return
        self.count += 1
        self.sum += value
        self.minimum = value if self.minimum is None or value < self.minimum else self.minimum
        self.maximum = value if self.maximum is None or value > self.maximum else self.maximum


def _buckets(rows: Iterable[tuple[int, int, float, float]]) -> list[tuple[object, ...]]:
    buckets: dict[tuple[int, int, int], _Bucket] = {}
    for name, step, value, _ in rows:
        for span in BUCKET_WIDTHS:
            key = (name, span, step // span)
            bucket = buckets.get(key)
            if bucket is None:
                bucket = buckets[key] = _Bucket()
            bucket.add(value)
    return [
        (*key, bucket.count, bucket.missing, _real(bucket.sum), bucket.minimum, bucket.maximum)
        for key, bucket in buckets.items()
    ]


def _real(value: float) -> float | None:
    return None if math.isnan(value) else value
