"""Writes a run's journal from a thread of its own, so that no disk, lock or reader ever holds up training.

Training appends to a queue and goes on. The thread writes what has gathered after 20 steps or a second, whichever comes
first, in one transaction; what a person waits for (states, events, answers to controls) at once. When the file is busy
or the disk is full it keeps the entries and tries again, for as long as the run lives.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from looptop.engine.encoding import encode_json
from looptop.engine.encoding import storable as storable
from looptop.engine.journal import rows
from looptop.engine.journal.causes import Cause, cause_text
from looptop.engine.journal.records import Answer, AnswerSample, RunState
from looptop.engine.journal.rows import Answers, Entry, Mark, Metrics, Statement, Statements, Supersede, Tables
from looptop.engine.journal.schema import open_for_writing

_log = logging.getLogger("looptop.journal")

# Training that makes thousands of steps a second would otherwise pay for hundreds of transactions a second.
_SHORTEST_PAUSE = 0.05
_LONGEST_RETRY = 2.0
# Rows of a transaction: what gathered in an hour of a full disk is not written in one piece.
_BATCH = 20_000
# Steps that may wait for the thread while the file takes them. Some hundred thousand a second, which no training makes,
# would otherwise outrun it, and a killed process would lack far more than its last second.
_MOST_WAITING = 2_000
# Never longer: a step must not hang on a disk that has stalled without an error.
_LONGEST_HOLD = 0.05
# What is wrong with an entry, not with the file: trying it again would never help.
_UNWRITABLE = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    ValueError,
    TypeError,
    OverflowError,
)
# The same by SQLite's own codes: a table or column that is not there, a value that is too large.
_NEVER = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE)
_REFUSED = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


class Listener:
    """Hears what a journal is told, in the thread that says it; every method does nothing by itself."""

    def on_event(self, kind: str, text: str, level: str) -> None:
        """Something happened."""

    def on_state(self, state: RunState, reason: str, cause: Cause | None) -> None:
        """The run has another state; why, for people, and for programs where it is held or has stopped."""

    def on_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """A step's values."""

    def on_facts(self, values: Mapping[str, Any]) -> None:
        """What a watcher shows of the run."""


class JournalWriter:
    """A run's journal, for the run alone to write. Its methods return at once and never raise for what a disk does.

    Args:
        path: `run.db`; made when missing.
        step_limit: Write when this many steps have gathered, ...
        seconds: ... or when this long has passed.
        network: Whether the file lies on a network file system; None asks the kernel.

    Raises:
        LooptopError: The journal is a newer looptop's, is damaged, or cannot be made.
    """

    def __init__(self, path: Path, step_limit: int = 20, seconds: float = 1.0, *, network: bool | None = None) -> None:
        self.path = path
        self._step_limit = step_limit
        # A batch takes some milliseconds to write: begun a little early, it is on disk within the second.
        self._seconds = seconds * 0.8
        self._connection = open_for_writing(path, network=network)
        self._connection.execute("PRAGMA busy_timeout = 1000")
        self._tables = Tables(self._connection)
        self._queue: deque[Entry] = deque()
        self._pending: list[Entry] = []
        self._step = -1
        self._steps = 0
        self._wanted = threading.Event()
        self._taken = threading.Event()
        self._closing = False
        self._deadline = float("inf")
        self._failing_since: float | None = None
        self._failure = ""
        self._refused = False
        self.left_out = 0
        """Rows that no table takes, and that are not in the journal."""
        self.listeners: list[Listener] = []
        self._thread = threading.Thread(target=self._work, name=f"{path.parent.name} journal", daemon=True)
        self._thread.start()

    # What a run says ----------------------------------------------------------------------------------------------

    def metrics(self, step: int, values: Mapping[str, float], time: float | None = None) -> None:
        """Adds the values of one step: some microseconds, whatever the disk does.

        A second value of the same name and step replaces the first. NaN and infinity are kept. Only who outruns the
        thread (thousands of steps between two writes) is held up, for a twentieth of a second.
        """
        if self._closing:
            return
        numbers = dict(values)
        for name, value in values.items():
            if type(value) is not float:
                try:
                    numbers[name] = float(value)
                except (TypeError, ValueError, OverflowError):
                    del numbers[name]
                    self.event("journal", f"metric {name} is no number and is left out: {value!r:.80}", step, "warning")
        self._queue.append(Metrics(step, numbers, _now() if time is None else time))
        for listener in self.listeners:
            listener.on_metrics(step, numbers)
        if step != self._step:
            self._step = step
            self._steps += 1
            if self._steps >= self._step_limit:
                self._wanted.set()
        if len(self._queue) >= _MOST_WAITING and self._failing_since is None:
            self._taken.clear()
            self._taken.wait(_LONGEST_HOLD)

    def event(
        self,
        kind: str,
        text: str,
        step: int | None = None,
        level: str = "info",
        time: float | None = None,
        code: str = "",
    ) -> None:
        """Says in words what happened.

        Args:
            kind: `alert`, `checkpoint`, `data` and so on.
            text: What happened, for people.
            step: The step in which it did.
            level: info, warning or error.
            time: In seconds since the epoch, now by default.
            code: Of an alert: which one, in a word for programs.
        """
        moment = _now() if time is None else time
        self._add(Statement(rows.EVENT, (moment, step, storable(kind), level, storable(text), storable(code))))
        for listener in self.listeners:
            listener.on_event(kind, text, level)

    def state(self, state: RunState, why: str | Cause = "", time: float | None = None) -> None:
        """Changes the run's state, now by default.

        Args:
            state: The new one.
            why: Its cause, of a run that is held or has stopped; of others some words.
            time: In seconds since the epoch.
        """
        cause = None if isinstance(why, str) else why
        reason = why if isinstance(why, str) else cause_text(why)
        kept = None if cause is None else encode_json(cause).decode()
        self._add(Statement(rows.STATE, (_now() if time is None else time, str(state), storable(reason), kept)))
        for listener in self.listeners:
            listener.on_state(state, reason, cause)

    def facts(self, **values: Any) -> None:
        """Says what a watcher shows of the run: total steps, device, sizes; later values replace."""
        for key, value in values.items():
            text = encode_json(value).decode()
            self._add(Statement(rows.FACT, (storable(key), text)))
        for listener in self.listeners:
            listener.on_facts(values)

    def answer_samples(self, step: int, samples: Iterable[AnswerSample]) -> None:
        """Adds the answers shown of one evaluation; those of the same step are replaced."""
        self._add(Answers(step, tuple(_storable_sample(sample) for sample in samples)))

    def control(self, control_id: str, kind: str, taken_at_step: int | None, answer: Answer) -> None:
        """Says what became of a control."""
        texts = storable(control_id), storable(kind)
        outcome = storable(answer.message), answer.ok, answer.code
        self._add(Statement(rows.CONTROL, (*texts, _now(), taken_at_step, *outcome)))

    def rows(self, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Adds rows of a table that a kind of run has for itself.

        Args:
            sql: One statement, with a question mark for each value.
            rows: The values of each row; texts without lone surrogates (`storable`).
        """
        self._add(Statements(sql, tuple(rows)))

    def supersede(self, after_step: int) -> None:
        """On resume: metrics and answers of later steps go, events of later steps are marked."""
        self._step = -1
        self._add(Supersede(after_step))

    @property
    def waits_for_disk(self) -> bool:
        """Whether entries wait in memory because the disk takes no more: it is full, or over a limit."""
        return self._failing_since is not None and self._refused

    def flush(self, timeout: float = 10.0) -> bool:
        """Waits until everything said so far is in the file.

        Returns:
            Whether it is; False when the file could not be written within `timeout` seconds.
        """
        mark = Mark(threading.Event())
        self._add(mark)
        return mark.reached.wait(timeout)

    def close(self, timeout: float = 10.0) -> bool:
        """Writes what is left and ends the thread; what is said afterwards is dropped.

        Returns:
            Whether everything was written; False when the file could not be written within `timeout` seconds.
        """
        self._deadline = time.monotonic() + timeout
        self._closing = True
        self._wanted.set()
        self._thread.join()
        return not self._pending

    # The thread ---------------------------------------------------------------------------------------------------

    def _add(self, entry: Entry) -> None:
        if not self._closing:
            self._queue.append(entry)
            self._wanted.set()

    def _work(self) -> None:
        retry_after = _SHORTEST_PAUSE
        while True:
            self._wanted.wait(self._seconds)
            self._wanted.clear()
            self._steps = 0
            last_time = self._closing  # looked at before the queue is emptied, so that nothing is left behind
            # What is there now, and not until it is empty: who fills it faster than that would never be written.
            self._pending += [self._queue.popleft() for _ in range(len(self._queue))]
            self._taken.set()
            written = self._write_pending()
            if last_time and (written or time.monotonic() > self._deadline):
                break
            retry_after = _SHORTEST_PAUSE if written else min(2 * retry_after, _LONGEST_RETRY)
            if last_time:
                self._wanted.set()
                retry_after = min(retry_after, 0.1)
            time.sleep(retry_after)
        if self.left_out:
            _log.warning("%d entries are left out of the journal: no table takes them", self.left_out)
        if self._pending:
            _log.error("%d journal entries could not be written and are lost", len(self._pending))
        self._settle()

    def _write_pending(self) -> bool:
        while self._pending:
            batch = self._pending[:_BATCH]
            try:
                self._write([*batch, *self._recovery()])
            except Exception as error:
                if _is_of_the_row(error):
                    if not self._write_each(batch):
                        return False
                    continue
                # Busy, full, not there for a moment: the entries stay, and the next attempt has them again.
                self._wait_after(error)
                return False
            self._written(len(batch))
        return True

    def _written(self, count: int) -> None:
        self._failing_since = None
        for entry in self._pending[:count]:
            if isinstance(entry, Mark):
                entry.reached.set()
        del self._pending[:count]

    def _wait_after(self, error: Exception) -> None:
        self._refused = _code(error) in _REFUSED
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            self._failure = str(error)
            _log.warning("the journal cannot be written (%s); entries wait in memory", error)

    def _recovery(self) -> list[Entry]:
        """What to say with the first entries that get through again."""
        if self._failing_since is None:
            return []
        seconds = time.monotonic() - self._failing_since
        text = f"the journal could not be written for {seconds:.1f} s ({self._failure}); nothing of it is missing"
        return [Statement(rows.EVENT, (_now(), None, "journal", "warning", text, ""))]

    def _write(self, batch: list[Entry]) -> None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._tables.write(batch)
            connection.execute("COMMIT")
        except BaseException:
            self._tables.forget()
            with contextlib.suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            raise

    def _write_each(self, batch: list[Entry]) -> bool:
        """Writes a batch that holds something no table takes: everything else of it. Whether the file took that."""
        for entry in batch:
            try:
                self._write([entry])
            except Exception as error:
                if not _is_of_the_row(error):
                    self._wait_after(error)
                    return False
                self.left_out += 1
                if self.left_out == 1:
                    _log.warning("left out of the journal, as no table takes it (%s): %.200r", error, entry)
            self._written(1)
        return True

    def _settle(self) -> None:
        """Leaves one file that can be copied as it is, where nobody is reading at this moment."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA busy_timeout = 200")
            self._connection.execute("PRAGMA journal_mode = DELETE")
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


def _code(error: Exception) -> int:
    """SQLite's own code of an error, without its details; 0 where it has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _is_of_the_row(error: Exception) -> bool:
    """Whether an error lies in what was to be written, so that the next attempt would fail as well."""
    return isinstance(error, _UNWRITABLE) or _code(error) in _NEVER


def _now() -> float:
    return time.time()


def _storable_sample(sample: AnswerSample) -> AnswerSample:
    texts = {name: storable(getattr(sample, name)) for name in ("question_id", "image", "question", "truth", "answer")}
    return msgspec.structs.replace(sample, **texts)
