"""Asks many questions, batch by batch, while the app goes on: a typed question waits for one batch at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from looptop.engine.errors import LooptopError
from looptop.tui.background import in_thread

if TYPE_CHECKING:
    from looptop.engine.asked.many import BatchSize, ImageQuestion, TimeLeft
    from looptop.engine.asked.questions import AskedQuestions
    from looptop.engine.asked.records import Entry
    from looptop.engine.helpers.answers import AskReply

SendBatch = Callable[[str, Sequence[tuple[str, str]]], int]
"""Sends images and questions to a model; returns the id of the request."""


class ManyState(Enum):
    """What is being done."""

    READING = "reading kept answers"
    ANSWERING = "answering"
    STOPPED = "stopped"
    DONE = "done"


class ManyAnswers:
    """The questions of a table and their answers, as they come.

    Args:
        question: The one question about every image; empty if each image has its own.
        questions: The questions.
        model: The model's name.
        asked: Where answers are kept, and where earlier ones come from.
        send: Sends a batch.
    """

    def __init__(
        self,
        question: str,
        questions: Sequence[ImageQuestion],
        model: str,
        asked: AskedQuestions,
        send: SendBatch,
    ) -> None:
        self.question, self.questions, self.model = question, questions, model
        self.asked = asked
        self.entries: dict[int, Entry] = {}
        """Answers by the question's index, without candidates and tokens."""
        self.errors: dict[int, str] = {}
        """Why a question has no answer, by its index."""
        self.state = ManyState.READING
        self.trouble = ""
        """Why it stopped, unless a person stopped it."""
        self.changes = 0
        """Grows with every change."""
        self.new: list[int] = []
        """Indices of answers that came since this list was last emptied."""
        self._send = send
        self._stamp = ""
        self._waiting: list[int] = []
        self._size: BatchSize | None = None
        self._time: TimeLeft | None = None
        self._request: tuple[int, list[int], float] | None = None
        """Id, questions and time of the batch that is being answered."""

    async def start(self) -> None:
        """Reads the answers that are kept, and asks for the others."""
        from looptop.engine.asked.many import BatchSize, TimeLeft, kept_entries
        from looptop.engine.asked.stamps import model_stamp

        self._stamp = await in_thread(lambda: model_stamp(self.model))
        kept = await in_thread(lambda: kept_entries(self.asked, self.questions, self.model, self._stamp))
        self._put(kept)
        self._waiting = [index for index in range(len(self.questions)) if index not in self.entries]
        self._size, self._time = BatchSize(), TimeLeft(len(self.questions), len(self.entries))
        self.go_on()

    def go_on(self) -> None:
        """Asks for what has no answer yet."""
        if self._time is None:
            return
        self.trouble = ""
        self.state = ManyState.ANSWERING
        self._time.begin()
        self._next()

    def stop(self) -> None:
        """Asks no more; the answers of the batch that is being answered still come."""
        if self.state is ManyState.ANSWERING:
            self._end(ManyState.STOPPED)

    @property
    def is_busy(self) -> bool:
        """Whether answers are being read or asked for."""
        return self.state in (ManyState.READING, ManyState.ANSWERING)

    @property
    def done(self) -> int:
        """How many questions have an answer, or an error."""
        return len(self.entries) + len(self.errors)

    @property
    def spent(self) -> float:
        """Seconds that it has taken so far."""
        return self._time.spent if self._time is not None else 0.0

    @property
    def left(self) -> float | None:
        """About how many seconds the rest takes; None if that is not known."""
        return self._time.left if self._time is not None else None

    def replace(self, index: int, entry: Entry) -> None:
        """Takes over a changed entry."""
        self._put({index: entry})

    def take(self, reply: AskReply) -> bool:
        """Takes a reply of the answering process.

        Returns:
            Whether it belongs to this table.
        """
        if self._request is None or reply.id != self._request[0]:
            return False
        if not reply.done:
            return True
        _, indices, began = self._request
        self._request = None
        if reply.batch is None:
            self._waiting = sorted({*self._waiting, *indices})
            self.trouble = reply.error or "the model gave no answer"
            self._end(ManyState.STOPPED)
            return True
        assert self._size is not None and self._time is not None
        self._size.note(len(indices), time.monotonic() - began)
        self._time.advance(len(indices))
        self._keep(reply, indices)
        if self.state is ManyState.ANSWERING:
            self._next()
        return True

    def _next(self) -> None:
        assert self._size is not None
        if self._request is not None:  # The batch from before a stop is still being answered.
            return
        if not self._waiting:
            self._end(ManyState.DONE)
            return
        indices, self._waiting = self._waiting[: self._size.count], self._waiting[self._size.count :]
        batch = [(str(self.questions[index].image), self.questions[index].question) for index in indices]
        try:
            self._request = self._send(self.model, batch), indices, time.monotonic()
        except LooptopError as error:
            self._waiting = indices + self._waiting
            self.trouble = str(error)
            self._end(ManyState.STOPPED)
        self.changes += 1

    def _end(self, state: ManyState) -> None:
        self.state = state
        if self._time is not None:
            self._time.stop()
        self.changes += 1

    def _keep(self, reply: AskReply, indices: Sequence[int]) -> None:
        """Shows the answers at once, and writes them in a thread."""
        from looptop.engine.asked.many import new_entry

        assert reply.batch is not None
        answers = {}
        for index, outcome in zip(indices, reply.batch, strict=True):
            if outcome.answer is None:
                self.errors[index] = outcome.error
            else:
                answers[index] = outcome.answer

        def write() -> dict[int, Entry]:
            entries = [new_entry(self.questions[index], answer, self._stamp) for index, answer in answers.items()]
            return dict(zip(answers, self.asked.add(entries), strict=True))

        written = in_thread(write)
        written.add_done_callback(lambda done: self._put(done.result()))

    def _put(self, entries: dict[int, Entry]) -> None:
        self.entries |= {index: _light(entry) for index, entry in entries.items()}
        self.new += entries
        self.changes += 1


def _light(entry: Entry) -> Entry:
    """The entry without what only its own page shows: a table may have a hundred thousand."""
    return msgspec.structs.replace(entry, answer=msgspec.structs.replace(entry.answer, candidates=[], tokens=[]))
