"""All questions that were asked, with their answers: those that are kept in looptop's home, and those of this session
that could not be written.

The app goes on when the file is damaged or cannot be written: `trouble` then says so, and what is asked is kept in
memory, until the app is left. So it is where looptop is read-only (`--readonly`).
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from looptop.engine.asked.records import Entry, Judgement
from looptop.engine.asked.store import NAME, ROWS_AT_ONCE, AskedStore, QuestionKey
from looptop.engine.errors import LooptopError
from looptop.engine.files.private import refuse_if_read_only
from looptop.engine.filters.vocabulary import Filter
from looptop.engine.home import home, is_read_only


class AskedQuestions:
    """The kept questions. Nothing is opened before the first call; all calls read or write files: make them in threads.

    Ids of entries that are in memory only are negative.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: AskedStore | None = None
        self._memory: AskedStore | None = None
        self._opened = False
        self.trouble = ""
        """Why questions are not kept, as a sentence; empty if they are."""

    def add(self, entries: Sequence[Entry]) -> list[Entry]:
        """Keeps entries; what cannot be written is kept in memory.

        Returns:
            The entries with their ids.
        """
        file = self._open()
        if file is not None and not self.trouble and not is_read_only():
            try:
                return _with_ids(entries, file.add(entries))
            except LooptopError as error:
                self._note(error)
        with self._lock:
            self._memory = self._memory or AskedStore(None)
        return _with_ids(entries, [-each for each in self._memory.add(entries)])

    def judge(self, entry: Entry, judgement: Judgement | None) -> Entry:
        """Sets what a person says of an answer; None takes it back.

        Returns:
            The changed entry.

        Raises:
            LooptopError: It cannot be written.
        """
        refuse_if_read_only()
        store = self._memory if entry.id < 0 else self._open()
        if store is not None:
            store.judge(abs(entry.id), judgement)
        return msgspec.structs.replace(entry, judgement=judgement)

    def ids(self, chosen: Filter[Entry] | None = None, is_cancelled: Callable[[], bool] = lambda: False) -> array[int]:
        """Ids of the earlier questions that the filter accepts, the newest first."""
        ids = array("q")
        if self._memory is not None:
            ids.extend(-each for each in self._memory.ids(chosen, is_cancelled))
        try:
            if (file := self._open()) is not None:
                ids.extend(file.ids(chosen, is_cancelled))
        except LooptopError as error:
            self._note(error)
        return ids

    def entries(self, ids: Iterable[int]) -> dict[int, Entry]:
        """Entries by id."""
        wanted = list(ids)
        entries: dict[int, Entry] = {}
        if self._memory is not None and (unwritten := [-each for each in wanted if each < 0]):
            memory = self._memory.entries(unwritten)
            entries = {-each: msgspec.structs.replace(entry, id=-each) for each, entry in memory.items()}
        try:
            if (file := self._open()) is not None:
                entries |= file.entries(each for each in wanted if each > 0)
        except LooptopError as error:
            self._note(error)
        return entries

    def each(self, ids: Sequence[int]) -> Iterator[Entry]:
        """Entries in the order of these ids, read in parts, so that any number fits into memory."""
        for first in range(0, len(ids), ROWS_AT_ONCE):
            part = ids[first : first + ROWS_AT_ONCE]
            entries = self.entries(part)
            yield from (entries[each] for each in part if each in entries)

    def newest_answers(self, keys: Iterable[QuestionKey], model: str, stamp: str) -> dict[QuestionKey, Entry]:
        """As `AskedStore.newest_answers`; empty if the file cannot be read."""
        try:
            if stamp and (file := self._open()) is not None:
                return file.newest_answers(keys, model, stamp)
        except LooptopError as error:
            self._note(error)
        return {}

    def _open(self) -> AskedStore | None:
        with self._lock:
            if not self._opened:
                self._opened = True
                try:
                    if not is_read_only() or (home() / NAME).is_file():
                        self._file = AskedStore(home() / NAME)
                except LooptopError as error:
                    self._note(error)
            return self._file

    def _note(self, error: LooptopError) -> None:
        self.trouble = self.trouble or f"{error}; questions and answers are not kept"


def _with_ids(entries: Sequence[Entry], ids: Sequence[int]) -> list[Entry]:
    return [msgspec.structs.replace(entry, id=each) for entry, each in zip(entries, ids, strict=True)]
