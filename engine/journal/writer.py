"""Writes the journal of a run from a thread of its own, so that no disk, lock or reader holds training up.

Training only appends to a queue. The thread writes metrics after 20 steps or a second, whichever comes first, and
every other entry (states, events, replies to controls) immediately, with the metrics before it. If the file is busy or
the disk is full, it keeps the entries and tries again as long as the run lives.
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
from looptop.engine.journal.records import AnswerSample, Reply, RunState
from looptop.engine.journal.rows import (
    Answers,
    DiscardAfter,
    Entry,
    EntryWriter,
    FlushMark,
    Metrics,
    Statement,
    Statements,
)
from looptop.engine.journal.schema import open_for_writing
from looptop.engine.text import counted

_log = logging.getLogger("looptop.journal")

# Seconds between two writes: limits the transactions of a training that makes thousands of steps a second.
_SHORTEST_PAUSE = 0.05
# Seconds between two attempts at a file that cannot be written, at most; the pause doubles with each failure.
_LONGEST_RETRY_PAUSE = 2.0
# Entries of one transaction, at most: what gathered while the disk was full is written in parts.
_BATCH = 20_000
# From this many entries in the queue on, each step waits a moment for the thread. A loop of some hundred thousand steps
# a second would otherwise fill the queue faster than it is written, and a killed process would lose far more than its
# last second.
_CROWDED_QUEUE = 2_000
# Seconds that a step then waits for the thread, at most: a disk that stalls without an error must not block training.
_LONGEST_HOLD = 0.05
# Errors of an entry, not of the file: trying again would never help.
_ENTRY_ERRORS = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.DataError)
# The same as codes of SQLite: a missing table or column, a value that is too large.
_ENTRY_CODES = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE)
_DISK_CODES = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


class Listener:
    """Is called for the events, states, metrics and facts that are added to a journal, in the thread that adds them.

    The methods here do nothing.
    """

    def on_event(self, kind: str, text: str, level: str) -> None:
        """Something happened."""

    def on_state(self, state: RunState, reason: str, cause: Cause | None) -> None:
        """The run's state has changed. The cause is given if the run is held or has stopped."""

    def on_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """The values of a step were added."""

    def on_facts(self, values: Mapping[str, Any]) -> None:
        """Facts about the run were added."""


class JournalWriter:
    """Writes the journal of a run. Its methods return quickly and raise no disk errors.

    A run has at most one writer: the run itself while it is live, otherwise whoever holds its lock.

    Args:
        path: `run.db`; made if missing.
        step_limit: Write metrics when this many steps have gathered, ...
        seconds: ... or when this much time has passed.
        network: Whether the file is on a network file system; None asks the kernel.

    Raises:
        LooptopError: The journal comes from a newer looptop, is damaged, or cannot be made.
    """

    def __init__(self, path: Path, step_limit: int = 20, seconds: float = 1.0, *, network: bool | None = None) -> None:
        self.path = path
        self._step_limit = step_limit
        # Writing takes some milliseconds: started a little early, it is done within the second.
        self._seconds = seconds * 0.8
        self._connection = open_for_writing(path, network=network)
        self._connection.execute("PRAGMA busy_timeout = 1000")
        self._tables = EntryWriter(self._connection)
        self._queue: deque[Entry] = deque()
        self._pending: list[Entry] = []
        self._last_step = -1
        self._steps_since_write = 0
        self._wake = threading.Event()
        self._drained = threading.Event()
        self._closing = False
        self._deadline = float("inf")
        self._failing_since: float | None = None
        self._failure = ""
        self._disk_failed = False
        self.rejected_count = 0
        """The number of entries that no table accepts and that are therefore not in the journal."""
        self.listeners: list[Listener] = []
        self._thread = threading.Thread(target=self._work, name=f"{path.parent.name} journal", daemon=True)
        self._thread.start()

    # Adding entries -----------------------------------------------------------------------------------------------

    def metrics(self, step: int, values: Mapping[str, float], time: float | None = None) -> None:
        """Adds the values of one step: microseconds, or up to 0.05 s while entries come faster than they are written.

        A second value of the same name and step replaces the first. NaN and infinity are kept. The wait comes when
        thousands of entries are queued.
        """
        if self._closing:
            return
        numbers: dict[str, float] = {}
        for name, value in values.items():
            try:
                numbers[str(name)] = float(value)
            except (TypeError, ValueError, OverflowError):
                text = f"metric {name} is not a number and was left out: {value!r:.80}"
                self.event("journal", text, step, "warning")
        self._queue.append(Metrics(step, numbers, _now() if time is None else time))
        for listener in self.listeners:
            listener.on_metrics(step, numbers)
        if step != self._last_step:
            self._last_step = step
            self._steps_since_write += 1
            if self._steps_since_write >= self._step_limit:
                self._wake.set()
        if len(self._queue) >= _CROWDED_QUEUE and self._failing_since is None:
            self._drained.clear()
            self._drained.wait(_LONGEST_HOLD)

    def event(
        self,
        kind: str,
        text: str,
        step: int | None = None,
        level: str = "info",
        time: float | None = None,
        code: str = "",
    ) -> None:
        """Adds an event.

        Args:
            kind: `alert`, `checkpoint`, `data` and so on.
            text: What happened, for people.
            step: The step in which it happened.
            level: info, warning or error.
            time: In seconds since the epoch; now by default.
            code: For an alert, its kind in a word, for programs.
        """
        moment = _now() if time is None else time
        self._add(Statement(rows.INSERT_EVENT, (moment, step, storable(kind), level, storable(text), storable(code))))
        for listener in self.listeners:
            listener.on_event(kind, text, level)

    def state(self, state: RunState, why: str | Cause = "", time: float | None = None) -> None:
        """Changes the run's state.

        Args:
            state: The new state.
            why: The cause, if the run is held or has stopped; otherwise a text.
            time: In seconds since the epoch; now by default.
        """
        cause = None if isinstance(why, str) else why
        reason = why if isinstance(why, str) else cause_text(why)
        encoded = None if cause is None else encode_json(cause).decode()
        self._add(
            Statement(rows.INSERT_STATE, (_now() if time is None else time, str(state), storable(reason), encoded))
        )
        for listener in self.listeners:
            listener.on_state(state, reason, cause)

    def facts(self, **values: Any) -> None:
        """Adds facts about the run, such as total steps, device and sizes; later values replace earlier ones."""
        for key, value in values.items():
            text = encode_json(value).decode()
            self._add(Statement(rows.INSERT_FACT, (storable(key), text)))
        for listener in self.listeners:
            listener.on_facts(values)

    def answer_samples(self, step: int, samples: Iterable[AnswerSample]) -> None:
        """Adds the recorded answers of an evaluation; earlier ones of the same step are replaced."""
        self._add(Answers(step, tuple(_storable_sample(sample) for sample in samples)))

    def control_reply(self, control_id: str, kind: str, taken_at_step: int | None, reply: Reply) -> None:
        """Adds the run's reply to a control."""
        texts = storable(control_id), storable(kind)
        outcome = storable(reply.message), reply.ok, reply.code
        self._add(Statement(rows.INSERT_CONTROL, (*texts, _now(), taken_at_step, *outcome)))

    def rows(self, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Adds rows to a table that only one kind of run uses. If it does not accept one of them, none is written.

        Args:
            sql: One statement, with a question mark for each value.
            rows: The values of each row; texts without lone surrogates (`storable`).
        """
        self._add(Statements(sql, tuple(rows)))

    def discard_after(self, step: int) -> None:
        """For a resume: deletes what later steps recorded, and marks events of later steps as superseded."""
        self._last_step = -1
        self._add(DiscardAfter(step))

    @property
    def waits_for_disk(self) -> bool:
        """Whether entries wait in memory because the disk is full, over a limit, or fails (an I/O error)."""
        return self._failing_since is not None and self._disk_failed

    def flush(self, timeout: float = 10.0) -> bool:
        """Waits until everything added so far is in the file.

        Returns:
            Whether it is; False if the file could not be written within `timeout` seconds.
        """
        mark = FlushMark(threading.Event())
        self._add(mark)
        return mark.reached.wait(timeout)

    def close(self, timeout: float = 10.0) -> bool:
        """Writes what is left and ends the thread; what is added afterwards is ignored.

        Returns:
            Whether everything was written; False if the file could not be written within `timeout` seconds.
        """
        self._deadline = time.monotonic() + timeout
        self._closing = True
        self._wake.set()
        self._thread.join()
        return not self._pending

    # The thread ---------------------------------------------------------------------------------------------------

    def _add(self, entry: Entry) -> None:
        if not self._closing:
            self._queue.append(entry)
            self._wake.set()

    def _work(self) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            self._wake.wait(self._seconds)
            self._wake.clear()
            self._steps_since_write = 0
            is_final_pass = self._closing  # read before the queue is emptied, so that nothing is missed
            # Only the entries that are in the queue now: a fast caller could keep it from ever being empty.
            self._pending += [self._queue.popleft() for _ in range(len(self._queue))]
            self._drained.set()
            written = self._write_pending()
            if is_final_pass and (written or time.monotonic() > self._deadline):
                break
            pause = _SHORTEST_PAUSE if written else min(2 * pause, _LONGEST_RETRY_PAUSE)
            if is_final_pass:
                self._wake.set()
                pause = min(pause, 0.1)
            time.sleep(pause)
        if self.rejected_count:
            _log.warning(
                "the journal left out %s that no table accepts", counted(self.rejected_count, "entry", "entries")
            )
        if self._pending:
            _log.error("the journal lost %s that could not be written", counted(len(self._pending), "entry", "entries"))
        self._settle()

    def _write_pending(self) -> bool:
        while self._pending:
            batch = self._pending[:_BATCH]
            try:
                self._write([*batch, *self._recovery()])
            except Exception as error:
                if _is_entry_error(error):
                    if not self._write_each(batch):
                        return False
                    continue
                # The file is busy, full or missing for a moment: the entries stay for the next attempt.
                self._note_failure(error)
                return False
            self._written(len(batch))
        return True

    def _written(self, count: int) -> None:
        self._failing_since = None
        for entry in self._pending[:count]:
            if isinstance(entry, FlushMark):
                entry.reached.set()
        del self._pending[:count]

    def _note_failure(self, error: Exception) -> None:
        self._disk_failed = _code(error) in _DISK_CODES
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            self._failure = str(error)
            _log.warning("the journal cannot be written (%s); entries wait in memory", error)

    def _recovery(self) -> list[Entry]:
        """An event to write with the first entries after a failure."""
        if self._failing_since is None:
            return []
        seconds = time.monotonic() - self._failing_since
        text = f"the journal could not be written for {seconds:.1f} s ({self._failure}); nothing was lost"
        return [Statement(rows.INSERT_EVENT, (_now(), None, "journal", "warning", text, ""))]

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
        """Writes a batch one by one, without entries that no table accepts. Returns whether the file was writable."""
        if not all(map(self._write_or_reject, self._recovery())):
            return False
        self._failing_since = None
        for entry in batch:
            if not self._write_or_reject(entry):
                return False
            self._written(1)
        return True

    def _write_or_reject(self, entry: Entry) -> bool:
        """Writes one entry, or counts it if no table accepts it. Returns whether the file was writable."""
        try:
            self._write([entry])
        except Exception as error:
            if not _is_entry_error(error):
                self._note_failure(error)
                return False
            self.rejected_count += 1
            if self.rejected_count == 1:
                _log.warning("the journal left out an entry that no table accepts (%s): %.200r", error, entry)
        return True

    def _settle(self) -> None:
        """Merges the write-ahead log into the file, so that it can be copied alone, unless another connection has it
        open.
        """
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA busy_timeout = 200")
            self._connection.execute("PRAGMA journal_mode = DELETE")
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


def _code(error: Exception) -> int:
    """SQLite's primary code of an error; 0 if it has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _is_entry_error(error: Exception) -> bool:
    """Whether the entry itself is wrong, so that the next attempt would fail, too."""
    if isinstance(error, sqlite3.Error):
        return isinstance(error, _ENTRY_ERRORS) or _code(error) in _ENTRY_CODES
    return not isinstance(error, OSError | MemoryError)


def _now() -> float:
    return time.time()


def _storable_sample(sample: AnswerSample) -> AnswerSample:
    texts = {name: storable(getattr(sample, name)) for name in ("question_id", "image", "question", "truth", "answer")}
    return msgspec.structs.replace(sample, **texts)
