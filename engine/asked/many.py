"""Many questions at once: one question about every image of a list, or the list's own questions.

Answers that are kept already, of the same model, question and unchanged image, are not computed again, so an
interrupted table goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from looptop.engine.asked.records import Entry
from looptop.engine.asked.stamps import file_stamp
from looptop.engine.asked.store import QuestionKey
from looptop.engine.vqa.answers.records import Answer
from looptop.engine.vqa.images.entries import AskedQuestion, ImageEntry

MAX_BATCH = 64
"""The most questions that are answered together."""

BATCH_SECONDS = 0.25
"""About how long a batch should take: a question that a person types waits for it at most."""


class ImageQuestion(Struct, frozen=True, gc=False):
    """One question about one image."""

    image: Path
    """Absolute."""
    question: str
    truths: tuple[str, ...] = ()
    """The data's answers, if it asks this question."""

    @property
    def key(self) -> QuestionKey:
        """The key under which its answers are kept."""
        return QuestionKey(self.image, self.question)


class KeptEntries(Protocol):
    """Where kept answers come from: `AskedQuestions`."""

    def newest_answers(self, keys: Iterable[QuestionKey], model: str, stamp: str) -> dict[QuestionKey, Entry]:
        """As `AskedStore.newest_answers`."""
        ...


def is_same_question(one: str, other: str) -> bool:
    """Whether two questions differ at most in case, spaces and the question mark."""
    return one.lower().strip(" ?") == other.lower().strip(" ?")


def truths_of(question: str, asked: Iterable[AskedQuestion]) -> tuple[str, ...]:
    """The data's answers to a question; empty if it does not ask it."""
    return next((each.answers for each in asked if is_same_question(each.question, question)), ())


def questions_about(images: Iterable[ImageEntry], question: str = "") -> list[ImageQuestion]:
    """One question about every image, or with an empty one every image's own questions.

    Args:
        images: The images.
        question: The question.
    """
    if not question:
        return [
            ImageQuestion(entry.image.absolute(), each.question, each.answers)
            for entry in images
            for each in entry.questions
        ]
    return [ImageQuestion(entry.image.absolute(), question, truths_of(question, entry.questions)) for entry in images]


def kept_entries(
    kept: KeptEntries, questions: Sequence[ImageQuestion], model: str, model_stamp: str
) -> dict[int, Entry]:
    """The kept answers to questions, by the question's index.

    Args:
        kept: Where they are kept.
        questions: The questions.
        model: The model's name.
        model_stamp: See `stamps.model_stamp`.
    """
    entries = kept.newest_answers([each.key for each in questions], model, model_stamp)
    usable = dict[int, Entry]()
    stamps = dict[Path, str]()
    for index, each in enumerate(questions):
        entry = entries.get(each.key)
        if entry is None:
            continue
        if each.image not in stamps:
            stamps[each.image] = file_stamp(each.image)
        if entry.image_stamp and entry.image_stamp == stamps[each.image]:
            usable[index] = msgspec.structs.replace(entry, truths=each.truths or entry.truths)
    return usable


def new_entry(asked: ImageQuestion, answer: Answer, model_stamp: str, *, in_table: bool = True) -> Entry:
    """The record of an answer that has just come; without `in_table` it is one of the earlier questions."""
    return Entry(
        image=asked.image,
        question=asked.question,
        answer=answer,
        truths=asked.truths,
        time=time.time(),
        image_stamp=file_stamp(asked.image),
        model_stamp=model_stamp,
        in_table=in_table,
    )


class BatchSize:
    """Chooses how many questions are answered together, so that a batch takes about `BATCH_SECONDS`."""

    def __init__(self) -> None:
        self.count = 4

    def note(self, count: int, seconds: float) -> None:
        """Takes how long a batch of this many questions took."""
        fitting = int(count * BATCH_SECONDS / max(seconds, 1e-6))
        # Twice as many at most: the first batches are slower than the later ones.
        self.count = max(1, min(fitting, 2 * self.count, MAX_BATCH))


class TimeLeft:
    """Estimates how long the rest takes, from what was computed in this session.

    Args:
        total: How many questions there are.
        done: How many are answered already.
    """

    def __init__(self, total: int, done: int) -> None:
        self.total, self.done = total, done
        self._computed = 0
        self._began: float | None = None
        self._spent = 0.0

    def begin(self) -> None:
        """Starts the clock, or starts it again after a stop."""
        self._began = time.monotonic() if self._began is None else self._began

    def stop(self) -> None:
        """Stops the clock."""
        self._spent, self._began = self.spent, None

    def advance(self, count: int) -> None:
        """More questions are answered."""
        self.done += count
        self._computed += count

    @property
    def spent(self) -> float:
        """Seconds that the clock has run."""
        return self._spent + (0.0 if self._began is None else time.monotonic() - self._began)

    @property
    def left(self) -> float | None:
        """Seconds that the rest takes at the same speed; None before anything was computed."""
        if not self._computed:
            return None
        return self.spent / self._computed * (self.total - self.done)


def counted_answers(entries: Iterable[Entry]) -> Mapping[str, int]:
    """How often each answer was given, the most frequent first."""
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry.answer.answer] = counts.get(entry.answer.answer, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def count_right(entries: Iterable[Entry]) -> tuple[int, int]:
    """Of the answers that are known to be right or wrong, how many are right, and how many they are."""
    known = [entry.right for entry in entries if entry.right is not None]
    return sum(known), len(known)
