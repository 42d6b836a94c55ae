"""The store of asked questions: one SQLite file, `asked.db` in looptop's home.

Several looptop apps may write at once, so every transaction is short, and a busy file is waited for. What the app
shows and does when the file cannot be used is decided by `AskedQuestions` in `questions.py`.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import sqlite3
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, overload
from urllib.parse import quote

import msgspec

from looptop.engine.asked.records import Entry, Judgement
from looptop.engine.encoding import encode_json, storable
from looptop.engine.errors import UNREADABLE, LooptopError, error_text
from looptop.engine.files.private import touch_private
from looptop.engine.filters.expressions import EVERYTHING
from looptop.engine.filters.vocabulary import Filter
from looptop.engine.home import is_read_only
from looptop.engine.journal.schema import refuse_unsafe_journal
from looptop.engine.machine.file_systems import is_on_network
from looptop.engine.text import visible
from looptop.engine.vqa.answers.records import Answer, Candidate

NAME = "asked.db"
VERSION = 1
MEMORY = "memory"
BUSY_SECONDS = 5.0
"""How long to wait while another looptop writes."""
ROWS_AT_ONCE = 500

MAX_TABLE_ENTRIES = 250_000
"""How many entries that were asked for a whole table of questions are kept, about 200 MB. When the file is opened, the
oldest above this number are dropped, except those that a person judged."""

Made = TypeVar("Made")

# `image` is the path as bytes, since a file name may be no valid text. `details` is the whole `Answer` as JSON: if it
# cannot be read, the answer and its confidence are known still. `truths` is a JSON list.
_TABLES = """
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL,
    image BLOB NOT NULL, image_stamp TEXT NOT NULL, question TEXT NOT NULL,
    model TEXT NOT NULL, model_stamp TEXT NOT NULL,
    answer TEXT NOT NULL, confidence REAL, details BLOB NOT NULL, truths TEXT NOT NULL,
    in_table INTEGER NOT NULL, mark INTEGER, correction TEXT NOT NULL DEFAULT ''
);
CREATE INDEX entries_by_image ON entries (image, question, model);
CREATE INDEX entries_by_kind ON entries (in_table, id);
"""

_COLUMNS = (
    "id, time, image, image_stamp, question, model, model_stamp, answer, confidence, details, truths, in_table, mark,"
    " correction"
)


class QuestionKey(NamedTuple):
    """An image and a question about it; which model answers is given beside it."""

    image: Path
    question: str


class AskedStore:
    """One SQLite file, or one in memory. Its methods may be called from any thread.

    Args:
        path: The file, which is made if missing, with mode 0600; None keeps everything in memory. In read-only
            mode (`home.is_read_only`), the file is only read, and must exist.

    Raises:
        LooptopError: The file comes from a newer looptop, is damaged, is not a regular file, or cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.Lock()
        self._name = visible(path) if path is not None else MEMORY
        try:
            file = ":memory:"
            if path is not None:
                refuse_unsafe_journal(path)
                if not is_read_only():
                    touch_private(path)  # SQLite gives its side files the mode of this file.
                file = f"file:{quote(os.fsencode(path))}?mode={'ro' if is_read_only() else 'rw'}"
            self._connection = sqlite3.connect(
                file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=path is not None
            )
        except (OSError, sqlite3.Error) as error:
            raise LooptopError(f"{self._name} cannot be opened: {error_text(error)}") from None
        try:
            with self._as_looptop_errors():
                self._prepare(path is not None and not is_on_network(path))
        except LooptopError:
            self._connection.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()

    def add(self, entries: Sequence[Entry]) -> list[int]:
        """Adds entries in one transaction.

        Returns:
            Their ids, in this order.

        Raises:
            LooptopError: They cannot be written.
        """
        statement = f"INSERT INTO entries ({_COLUMNS}) VALUES (NULL{', ?' * 13})"
        rows = [_row(entry) for entry in entries]
        with self._transaction() as connection:
            return [int(connection.execute(statement, row).lastrowid or 0) for row in rows]

    def judge(self, entry_id: int, judgement: Judgement | None) -> None:
        """Sets what a person says of an answer; None takes it back.

        Raises:
            LooptopError: It cannot be written.
        """
        mark = None if judgement is None else int(judgement.right)
        correction = "" if judgement is None else storable(judgement.correction)
        with self._transaction() as connection:
            connection.execute("UPDATE entries SET mark = ?, correction = ? WHERE id = ?", (mark, correction, entry_id))

    def ids(self, chosen: Filter[Entry] | None = None, is_cancelled: Callable[[], bool] = lambda: False) -> array[int]:
        """Ids of the earlier questions, the newest first; not of those that were asked for a table.

        Args:
            chosen: Only entries that this filter accepts.
            is_cancelled: Polled between blocks of entries; if it returns True, the ids so far are returned.

        Raises:
            LooptopError: The file cannot be read.
        """
        if chosen is None or chosen.expression == EVERYTHING:
            every = "SELECT id FROM entries WHERE in_table = 0 ORDER BY id DESC"
            return array("q", self._read(every, make=lambda row: int(row[0])))
        ids, last = array("q"), 2**63 - 1
        # Reading the details would take most of the time, and no filter asks for them.
        columns = _COLUMNS.replace("details", "x''")
        query = f"SELECT {columns} FROM entries WHERE in_table = 0 AND id < ? ORDER BY id DESC LIMIT {ROWS_AT_ONCE}"
        while not is_cancelled() and (part := self._read(query, (last,))):
            ids.extend(entry.id for entry in part if chosen.holds(entry))
            last = part[-1].id
        return ids

    def entries(self, ids: Iterable[int]) -> dict[int, Entry]:
        """Entries by id; ids that are not in the file are left out.

        Raises:
            LooptopError: The file cannot be read.
        """
        wanted, entries = list(ids), dict[int, Entry]()
        for first in range(0, len(wanted), ROWS_AT_ONCE):
            part = wanted[first : first + ROWS_AT_ONCE]
            query = f"SELECT {_COLUMNS} FROM entries WHERE id IN ({', '.join('?' * len(part))})"
            entries |= {entry.id: entry for entry in self._read(query, part)}
        return entries

    def newest_answers(self, keys: Iterable[QuestionKey], model: str, stamp: str) -> dict[QuestionKey, Entry]:
        """The newest entry for each key that has one, with an answer by this model with this stamp.

        The image's file may have changed since: the caller must compare its stamp with the entry's.

        Args:
            keys: Images and questions.
            model: The model's name.
            stamp: The model's stamp.

        Raises:
            LooptopError: The file cannot be read.
        """
        query = (
            f"SELECT {_COLUMNS} FROM entries WHERE image = ? AND question = ? AND model = ? AND model_stamp = ?"
            " ORDER BY id DESC LIMIT 1"
        )
        entries = dict[QuestionKey, Entry]()
        for key in keys:
            values = (os.fsencode(key.image), storable(key.question), storable(model), stamp)
            for entry in self._read(query, values):
                entries[key] = entry
        return entries

    def _prepare(self, wal: bool) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise LooptopError(f"{self._name} was written by a newer looptop; update looptop to read it")
        if is_read_only() and self._name != MEMORY:
            return
        if wal:
            with contextlib.suppress(sqlite3.OperationalError):  # It works in both modes, and one is only faster.
                self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        if version == VERSION:
            self._drop_oldest()
            return
        self._connection.execute("BEGIN IMMEDIATE")
        # Another looptop may have made the tables in the meantime.
        if self._connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in filter(str.strip, _TABLES.split(";")):
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {VERSION}")
        self._connection.execute("COMMIT")

    def _drop_oldest(self) -> None:
        first = f"(SELECT id FROM entries WHERE in_table = 1 ORDER BY id DESC LIMIT 1 OFFSET {MAX_TABLE_ENTRIES})"
        with contextlib.suppress(sqlite3.OperationalError):  # Another looptop writes: the next start drops them.
            self._connection.execute(f"DELETE FROM entries WHERE in_table = 1 AND mark IS NULL AND id <= {first}")

    @overload
    def _read(self, query: str, values: Sequence[Any] = ()) -> list[Entry]: ...
    @overload
    def _read(self, query: str, values: Sequence[Any] = (), *, make: Callable[[Any], Made]) -> list[Made]: ...
    def _read(self, query: str, values: Sequence[Any] = (), *, make: Any = None) -> list[Any]:
        """The rows of a query; those of `_COLUMNS` as entries."""
        with self._as_looptop_errors():
            with self._lock:
                rows = self._connection.execute(query, values).fetchall()
            return [(make or _entry)(row) for row in rows]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._as_looptop_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _as_looptop_errors(self) -> Iterator[None]:
        """Turns errors of SQLite and of damaged rows into a LooptopError."""
        try:
            yield
        except (sqlite3.Error, TypeError, *UNREADABLE) as error:  # TypeError: a row of other types than we write
            raise LooptopError(f"{self._name} cannot be used: {error_text(error)}") from None


def _row(entry: Entry) -> tuple[Any, ...]:
    judgement = entry.judgement
    return (
        entry.time,
        os.fsencode(entry.image),
        entry.image_stamp,
        storable(entry.question),
        storable(entry.answer.model),
        entry.model_stamp,
        storable(entry.answer.answer),
        entry.answer.confidence,
        encode_json(entry.answer),
        encode_json(list(entry.truths)).decode(),
        int(entry.in_table),
        None if judgement is None else int(judgement.right),
        "" if judgement is None else storable(judgement.correction),
    )


def _entry(row: tuple[Any, ...]) -> Entry:
    (entry_id, time, image, image_stamp, question, model, model_stamp) = row[:7]
    (answer, confidence, details, truths, in_table, mark, correction) = row[7:]
    return Entry(
        id=entry_id,
        time=time,
        image=_path(image),
        image_stamp=image_stamp,
        question=question,
        answer=_answer(answer, math.nan if confidence is None else confidence, model, details),
        truths=() if truths == "[]" else tuple(msgspec.json.decode(truths, type=list[str])),
        model_stamp=model_stamp,
        in_table=bool(in_table),
        judgement=None if mark is None else Judgement(bool(mark), correction),
    )


@functools.lru_cache(maxsize=4096)
def _path(name: bytes) -> Path:
    """The path of an image; many entries are of the same, and making a path takes half of the time of an entry."""
    return Path(os.fsdecode(name))


def _answer(text: str, confidence: float, model: str, details: bytes) -> Answer:
    if details:
        with contextlib.suppress(*UNREADABLE):
            return msgspec.json.decode(details, type=Answer)
    return Answer(
        answer=text,
        confidence=confidence,
        raw_confidence=confidence,
        candidates=[Candidate(text, confidence, confidence)],
        tokens=[],
        model=model,
        seconds=0.0,
    )
