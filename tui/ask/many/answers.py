"""Asks many questions, batch by batch, while the app goes on: a typed question waits for one batch at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from typing import NamedTuple

import msgspec

from looptop.engine.asked.many import BatchSize, ImageQuestion, TimeLeft, kept_entries, new_entry
from looptop.engine.asked.questions import AskedQuestions
from looptop.engine.asked.records import Entry
from looptop.engine.asked.stamps import model_stamp
from looptop.engine.errors import LooptopError
from looptop.engine.helpers.answers import AskReply, BatchAnswer
from looptop.engine.vqa.answers.records import Answer
from looptop.tui.background import in_thread

SendBatch = Callable[[str, Sequence[tuple[str, str]]], int]
"""Sends images and questions to a model; returns the id of the request."""


class ManyState(Enum):
    """What is being done."""

    READING = "reading kept answers"
    ANSWERING = "answering"
    STOPPED = "stopped"
    DONE = "done"


class ModelAnswers:
    """One model's answers to the questions of a table.

    Args:
        model: The model's name.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self.entries: dict[int, Entry] = {}
        """Answers by the question's index, without candidates and tokens."""
        self.errors: dict[int, str] = {}
        """Why a question has no answer, by its index."""
        self.trouble = ""
        """Why the model is not asked any more, until a person goes on."""
        self.stamp = ""
        self.waiting: list[int] = []
        """Questions that are to be asked still."""
        self.size = BatchSize()

    @property
    def done(self) -> int:
        """How many questions have an answer, or an error."""
        return len(self.entries) + len(self.errors)


class ManyAnswers:
    """The questions of a table and their answers, as they come: of one model, or of several, one after the other.

    Args:
        question: The one question about every image; empty if each image has its own.
        questions: The questions.
        models: The models' names.
        asked: Where answers are kept, and where earlier ones come from.
        send: Sends a batch.
    """

    def __init__(
        self,
        question: str,
        questions: Sequence[ImageQuestion],
        models: Sequence[str],
        asked: AskedQuestions,
        send: SendBatch,
    ) -> None:
        self.question, self.questions = question, questions
        self.models = [ModelAnswers(model) for model in models]
        self.asked = asked
        self.state = ManyState.READING
        self.changes = 0
        """Grows with every change."""
        self.new: list[int] = []
        """Indices of questions with answers that came since this list was last emptied."""
        self._send = send
        self._time: TimeLeft | None = None
        self._request: _Batch | None = None
        """The batch that is being answered."""

    async def start(self) -> None:
        """Reads the answers that are kept, and asks for the others."""
        for each in self.models:
            self._put(each, await in_thread(partial(self._kept, each)))
            each.waiting = [index for index in range(len(self.questions)) if index not in each.entries]
        self._time = TimeLeft(self.total, self.done)
        self.go_on()

    def _kept(self, each: ModelAnswers) -> dict[int, Entry]:
        each.stamp = model_stamp(each.model)
        return kept_entries(self.asked, self.questions, each.model, each.stamp)

    def go_on(self) -> None:
        """Asks what is waiting; a question that had an error is not asked again."""
        if self._time is None:
            return
        for each in self.models:
            each.trouble = ""
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
    def total(self) -> int:
        """How many answers there are to be."""
        return len(self.questions) * len(self.models)

    @property
    def done(self) -> int:
        """How many of them are there, or cannot be given."""
        return sum(each.done for each in self.models)

    @property
    def trouble(self) -> str:
        """Why models are not asked any more; of several models, each with its name."""
        several = len(self.models) > 1
        return " · ".join(
            f"{each.model}: {each.trouble}" if several else each.trouble for each in self.models if each.trouble
        )

    @property
    def spent(self) -> float:
        """Seconds that it has taken so far."""
        return self._time.spent if self._time is not None else 0.0

    @property
    def left(self) -> float | None:
        """About how many seconds the rest takes; None if that is not known."""
        return self._time.left if self._time is not None else None

    def entries_of(self, index: int) -> list[Entry]:
        """The answers to one question."""
        return [each.entries[index] for each in self.models if index in each.entries]

    def whole(self, entries: Sequence[Entry]) -> list[Entry]:
        """Answers with their candidates and tokens. Reads a file: call it in a thread."""
        kept = self.asked.entries([each.id for each in entries])
        # The store may know less of the data's answers: it kept the answer before this list was open.
        return [msgspec.structs.replace(kept[each.id], truths=each.truths) for each in entries if each.id in kept]

    def replace(self, index: int, model: ModelAnswers, entry: Entry) -> None:
        """Takes over a changed entry."""
        self._put(model, {index: entry})

    def take(self, reply: AskReply) -> bool:
        """Takes a reply of the answering process.

        Returns:
            Whether it belongs to this table.
        """
        batch = self._request
        if batch is None or reply.id != batch.id:
            return False
        if not reply.done:
            return True
        self._request = None
        if reply.batch is None:
            self._fail(batch.model, batch.indices, reply.error or "the model gave no answer")
        else:
            assert self._time is not None
            batch.model.size.note(len(batch.indices), time.monotonic() - batch.began)
            self._time.advance(len(batch.indices))
            self._keep(reply.batch, batch)
        if self.state is ManyState.ANSWERING:
            self._next()
        return True

    def _next(self) -> None:
        """Sends a batch to the first model that has questions left. So a large model is loaded once only."""
        if self._request is not None:  # The batch from before a stop is still being answered.
            return
        model = next((each for each in self.models if each.waiting and not each.trouble), None)
        if model is None:
            self._end(ManyState.STOPPED if self.trouble else ManyState.DONE)
            return
        count = model.size.count
        indices, model.waiting = model.waiting[:count], model.waiting[count:]
        questions = [(str(self.questions[index].image), self.questions[index].question) for index in indices]
        try:
            self._request = _Batch(self._send(model.model, questions), model, indices, time.monotonic())
        except LooptopError as error:  # The process cannot be started.
            self._fail(model, indices, str(error))
            self._end(ManyState.STOPPED)
        self.changes += 1

    def _fail(self, model: ModelAnswers, indices: Sequence[int], trouble: str) -> None:
        """Puts questions back that a model could not be asked."""
        model.waiting = sorted({*model.waiting, *indices})
        model.trouble = trouble
        self.changes += 1

    def _end(self, state: ManyState) -> None:
        self.state = state
        if self._time is not None:
            self._time.stop()
        self.changes += 1

    def _keep(self, outcomes: Sequence[BatchAnswer], batch: _Batch) -> None:
        """Writes the answers in a thread, then shows them; errors are shown immediately."""
        model, answers = batch.model, dict[int, Answer]()
        for index, outcome in zip(batch.indices, outcomes, strict=True):
            if outcome.answer is None:
                model.errors[index] = outcome.error
            else:
                answers[index] = outcome.answer

        def write() -> dict[int, Entry]:
            entries = [new_entry(self.questions[index], answer, model.stamp) for index, answer in answers.items()]
            return dict(zip(answers, self.asked.add(entries), strict=True))

        written = in_thread(write)
        written.add_done_callback(lambda done: self._put(model, done.result()))

    def _put(self, model: ModelAnswers, entries: dict[int, Entry]) -> None:
        model.entries |= {index: _without_details(entry) for index, entry in entries.items()}
        self.new += entries
        self.changes += 1


class _Batch(NamedTuple):
    """Questions that are being answered."""

    id: int
    model: ModelAnswers
    indices: list[int]
    began: float


def _without_details(entry: Entry) -> Entry:
    """The entry without what only its own page shows: a table may have a hundred thousand."""
    return msgspec.structs.replace(entry, answer=msgspec.structs.replace(entry.answer, candidates=[], tokens=[]))
