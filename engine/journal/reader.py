"""Reads the journal of a run, whether it is live, finished, or copied from another machine.

Every call opens the file, reads in one short transaction, and closes it. So a reader never blocks the run or lets its
write-ahead log grow, and may call from any thread. Calls in a `snapshot` block share one transaction. A missing journal
counts as empty.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from looptop.engine.encoding import storable
from looptop.engine.errors import LooptopError, error_text
from looptop.engine.journal import decode
from looptop.engine.journal.causes import Cause, cause_text
from looptop.engine.journal.idle_time import idle_seconds
from looptop.engine.journal.records import AnswerSample as AnswerSample
from looptop.engine.journal.records import ControlReply as ControlReply
from looptop.engine.journal.records import Event as Event
from looptop.engine.journal.records import Point as Point
from looptop.engine.journal.records import RunState
from looptop.engine.journal.records import Series as Series
from looptop.engine.journal.records import StateChange as StateChange
from looptop.engine.journal.schema import READ_ERRORS, open_for_reading
from looptop.engine.journal.series import read_series, read_smoothed
from looptop.engine.journal.step_positions import STEPS_ONLY, StepPositions, Unit, read_step_positions
from looptop.engine.journal.writer import JournalWriter as JournalWriter
from looptop.engine.text import visible


class Outline(msgspec.Struct, frozen=True):
    """What a list of runs needs from a journal, read in one transaction."""

    state: RunState
    reason: str
    cause: Cause | None
    started: float | None
    ended: float | None
    facts: dict[str, Any]
    latest: dict[str, Point]
    alerts: int = 0
    alert_codes: tuple[str, ...] = ()
    idle: float = 0.0
    """Seconds that do not count as its own: those between an end, or the death of its process, and a resume."""


def total_steps(facts: Mapping[str, Any]) -> int:
    """How many steps a run with these facts makes; 0 if not known yet."""
    total = facts.get("total_steps")
    return total if isinstance(total, int) else 0


class Journal:
    """A reader of a run's journal.

    Every method raises LooptopError if the journal comes from a newer looptop, is damaged, or stays locked.

    Args:
        path: `run.db`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened = threading.local()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything that this thread reads within the block is of the same moment; the file is opened once."""
        with self._read() as read:
            before = getattr(self._opened, "read", None)
            self._opened.read = read
            try:
                yield
            finally:
                self._opened.read = before

    def version(self) -> int:
        """A number that grows with every write of the run; quick to read, to know whether anything has changed."""
        with self._read() as read:
            row = read("SELECT count FROM changes").fetchone() if read else None
        return decode.whole(row[0]) or 0 if row else 0

    def state(self) -> tuple[RunState, str]:
        """The last state that the run journalled, and the reason. The lock tells whether the run is still live."""
        with self._read() as read:
            state, reason, _ = _state(read)
        return state, reason

    def cause(self) -> Cause | None:
        """Why the run is in its last state, for programs; None if it is neither held nor stopped."""
        with self._read() as read:
            return _state(read)[2]

    def states(self) -> list[StateChange]:
        """All changes of state, the oldest first."""
        with self._read() as read:
            rows = read("SELECT time, state, reason, cause FROM states ORDER BY id").fetchall() if read else []
        return [StateChange(decode.moment(at), _state_of(word), *_why(text, cause)) for at, word, text, cause in rows]

    def facts(self) -> dict[str, Any]:
        """Facts about the run: total_steps, epochs, device, precision, n_train, parameters and so on."""
        with self._read() as read:
            return _facts(read) if read else {}

    def outline(self) -> Outline:
        """State, facts and latest values together."""
        with self._read() as read:
            if not read:
                return Outline(RunState.CREATED, "", None, None, None, {}, {})
            state, reason, cause = _state(read)
            (started,) = read("SELECT min(time) FROM states WHERE state = 'running'").fetchone()
            (ended,) = read("SELECT time FROM states ORDER BY id DESC LIMIT 1").fetchone() or (None,)
            return Outline(
                state,
                reason,
                cause,
                decode.moment_or_none(started),
                decode.moment_or_none(ended) if state.ended else None,
                _facts(read),
                _latest(read),
                *_alerts(read),
                idle=idle_seconds(read),
            )

    def alerts(self) -> int:
        """The number of alerts, without those of steps that a resume discarded."""
        with self._read() as read:
            return _alerts(read)[0] if read else 0

    def names(self) -> list[str]:
        """The names of the metrics that have values."""
        with self._read() as read:
            return list(_latest(read)) if read else []

    def last(self, name: str) -> Point | None:
        """The last value of a metric."""
        with self._read() as read:
            return _latest(read, storable(name)).get(storable(name)) if read else None

    def latest(self) -> dict[str, Point]:
        """The last value of every metric."""
        with self._read() as read:
            return _latest(read) if read else {}

    def values(self, name: str, after_step: int = -1, limit: int = -1) -> list[Point]:
        """All values of a metric after a step; at most the first `limit` if that is not negative."""
        with self._read() as read:
            if not read:
                return []
            rows = read(
                "SELECT step, value, time FROM metrics WHERE name = (SELECT id FROM names WHERE name = ?)"
                " AND step > ? ORDER BY step LIMIT ?",
                (storable(name), after_step, limit),
            ).fetchall()
        return [point for row in rows if (point := _point(*row)) is not None]

    def series(self, name: str, buckets: int = 200, first: int | None = None, last: int | None = None) -> Series:
        """A metric thinned to about `buckets` columns at most, with its extremes kept.

        Args:
            name: The metric.
            buckets: The number of columns of the chart.
            first: The first step to show; None for the metric's first.
            last: The last step to show; None for the metric's last.
        """
        with self._read() as read:
            return read_series(read, name, buckets, first, last) if read else Series([], [], [], [], [])

    def smoothed(self, name: str, series: Series, weight: float, last: int | None = None) -> Series:
        """The same series, with its exponential averages.

        Args:
            name: The metric.
            series: The result of `series` for it.
            weight: The weight of the previous average at each value; 0 returns the series unchanged.
            last: The last step to show; None for the metric's last.
        """
        if not weight or not series.steps:
            return series
        steps = [*series.steps, 2**63 - 1 if last is None else max(last, series.steps[-1])]
        with self._read() as read:
            smoothed = read_smoothed(read, name, steps, weight) if read else []
        return msgspec.structs.replace(series, smoothed=smoothed)

    def step_positions(self, unit: Unit, name: str) -> StepPositions | None:
        """Maps the run's steps to this unit; None if the run has recorded nothing usable for it.

        Args:
            unit: The unit.
            name: For `time`: the metric whose row times are used; one of many steps.
        """
        with self._read() as read:
            return read_step_positions(read, unit, name) if read else (STEPS_ONLY if unit == "step" else None)

    def checkpoint_steps(self) -> list[int]:
        """The steps whose checkpoints were written, without those that a resume discarded."""
        with self._read() as read:
            rows = (
                read(
                    "SELECT DISTINCT step FROM events WHERE kind = 'checkpoint' AND level = 'info' AND NOT superseded"
                    " ORDER BY step"
                ).fetchall()
                if read
                else []
            )
        return [step for (step,) in rows if isinstance(step, int)]

    def last_until(self, name: str, step: int) -> Point | None:
        """The last value of a metric at or before a step."""
        with self._read() as read:
            row = (
                read(
                    "SELECT step, value, time FROM metrics WHERE name = (SELECT id FROM names WHERE name = ?)"
                    " AND step <= ? ORDER BY step DESC LIMIT 1",
                    (storable(name), step),
                ).fetchone()
                if read
                else None
            )
        return _point(*row) if row else None

    def events(self, after: int = 0) -> list[Event]:
        """Events with an id above `after`, the oldest first."""
        with self._read() as read:
            if not read:
                return []
            rows = read(
                "SELECT id, time, step, kind, level, text, superseded, code FROM events WHERE id > ? ORDER BY id",
                (after,),
            ).fetchall()
        return [
            Event(
                number,
                decode.moment(time),
                decode.whole(at),
                decode.name(kind),
                decode.name(level),
                decode.text(text),
                bool(gone),
                decode.name(code),
            )
            for number, time, at, kind, level, text, gone, code in rows
        ]

    def answer_samples(self, step: int | None = None) -> list[AnswerSample]:
        """The recorded answers of the evaluation at a step; by default of the latest evaluation."""
        with self._read() as read:
            if not read:
                return []
            rows = read(
                "SELECT question_id, image, question, truth, answer, confidence, correct FROM answer_samples"
                " WHERE step = coalesce(?, (SELECT max(step) FROM answer_samples)) ORDER BY place",
                (step,),
            ).fetchall()
        return [
            AnswerSample(
                question_id=decode.text(question_id),
                image=decode.text(image),
                question=decode.text(question),
                truth=decode.text(truth),
                answer=decode.text(answer),
                confidence=decode.real_or_nan(confidence),
                correct=decode.real_or_nan(correct),
            )
            for question_id, image, question, truth, answer, confidence, correct in rows
        ]

    def answer_steps(self) -> list[int]:
        """The steps of the evaluations with recorded answers."""
        with self._read() as read:
            rows = read("SELECT DISTINCT step FROM answer_samples ORDER BY step").fetchall() if read else []
        return [step for (step,) in rows if isinstance(step, int)]

    def controls(self) -> list[ControlReply]:
        """The run's replies to controls, the oldest first."""
        with self._read() as read:
            columns = "id, kind, time, step, answer, ok, code"
            rows = read(f"SELECT {columns} FROM controls ORDER BY rowid").fetchall() if read else []
        return [
            ControlReply(
                decode.name(number),
                decode.name(kind),
                decode.moment(time),
                decode.whole(step),
                decode.text(answer),
                None if ok is None else bool(ok),
                decode.name(code),
            )
            for number, kind, time, step, answer, ok, code in rows
        ]

    def transaction(self) -> contextlib.AbstractContextManager[Any]:
        """A transaction, for modules that have tables of their own in the journal. It gives the connection's `execute`;
        None if there is no journal yet.
        """
        return self._read()

    @contextlib.contextmanager
    def _read(self) -> Iterator[Any]:
        """Gives the connection's `execute` inside a transaction; None if there is no journal yet."""
        opened = getattr(self._opened, "read", None)
        if opened is not None:
            yield opened
            return
        connection = open_for_reading(self.path)
        if connection is None:
            yield None
            return
        try:
            connection.execute("BEGIN")
            yield connection.execute
        except READ_ERRORS as error:
            raise LooptopError(f"cannot read the journal {visible(self.path)}: {error_text(error)}") from None
        finally:
            connection.close()


def _state(read: Any) -> tuple[RunState, str, Cause | None]:
    row = read("SELECT state, reason, cause FROM states ORDER BY id DESC LIMIT 1").fetchone() if read else None
    return (_state_of(row[0]), *_why(row[1], row[2])) if row else (RunState.CREATED, "", None)


def _why(text: object, cause: object) -> tuple[str, Cause | None]:
    """Why a run is in a state, for people and for programs.

    The sentence is made of the cause. Only if there is none that this version can read, it is the journalled text.
    """
    known = decode.cause(cause)
    return decode.text(text if known is None else cause_text(known)), known


def _state_of(word: object) -> RunState:
    try:
        return RunState(decode.text(word))
    except ValueError:
        raise LooptopError(
            f"the journal holds the unknown state '{visible(word)}': a newer looptop wrote it; update looptop"
        ) from None


def _facts(read: Any) -> dict[str, Any]:
    return decode.facts({decode.text(key): value for key, value in read("SELECT key, value FROM facts").fetchall()})


def _alerts(read: Any) -> tuple[int, tuple[str, ...]]:
    """The number of alerts, and their codes, each once."""
    rows = read("SELECT code FROM events WHERE kind = 'alert' AND NOT superseded ORDER BY id").fetchall()
    return len(rows), tuple(dict.fromkeys(code for (name,) in rows if (code := decode.name(name))))


def _latest(read: Any, name: str | None = None) -> dict[str, Point]:
    rows = read(
        "SELECT names.name, metrics.step, value, time FROM names JOIN metrics ON metrics.name = names.id"
        " AND metrics.step = (SELECT max(step) FROM metrics WHERE metrics.name = names.id)"
        " WHERE ?1 IS NULL OR names.name = ?1 ORDER BY names.id",
        (name,),
    ).fetchall()
    return {
        decode.text(name): point for name, step, value, time in rows if (point := _point(step, value, time)) is not None
    }


def _point(step: object, value: object, time: object) -> Point | None:
    """A value of a metric; None if its step is not a number."""
    return Point(step, decode.real(value), decode.moment(time)) if isinstance(step, int) else None
