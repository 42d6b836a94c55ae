"""Baselines: the most frequent answer to each question, and other questions' images for the shuffled-image baseline."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Self

SHUFFLE_SEED = 42


class QuestionOnly:
    """Answers without looking at the image, from how often each answer was right in the training data.

    The most frequent answer to the same question; to an unknown question that of its question type; else that of all
    questions (as the "prior" baselines of Goyal et al. 2017, "Making the V in VQA matter", arXiv 1612.00837).

    Args:
        rows: Question, question type and right answer of each training question.
    """

    def __init__(self, rows: Iterable[tuple[str, str, str]]) -> None:
        by_question: defaultdict[str, Counter[str]] = defaultdict(Counter)
        by_type: defaultdict[str, Counter[str]] = defaultdict(Counter)
        overall: Counter[str] = Counter()
        for question, question_type, answer in rows:
            by_question[question][answer] += 1
            by_type[question_type][answer] += 1
            overall[answer] += 1
        self._by_question = {question: _most_frequent(counts) for question, counts in by_question.items()}
        self._by_type = {kind: _most_frequent(counts) for kind, counts in by_type.items()}
        self._overall = _most_frequent(overall) if overall else None

    @classmethod
    def of_columns(cls, questions: Sequence[str], types: Sequence[str], answers: Sequence[str]) -> Self:
        """From the columns of a training split."""
        return cls(zip(questions, types, answers, strict=True))

    def answer(self, question: str, question_type: str) -> str | None:
        """The answer; None without training data."""
        known = self._by_question.get(question)
        return known if known is not None else self._by_type.get(question_type, self._overall)


def _most_frequent(counts: Counter[str]) -> str:
    return counts.most_common(1)[0][0]


def deranged(count: int, seed: int = SHUFFLE_SEED) -> list[int]:
    """For each of `count` images the index of another one; each is taken once. A single image keeps its own.

    The images are shuffled in a circle and each gets the next one's, which never is its own.
    """
    order = list(range(count))
    random.Random(seed).shuffle(order)
    other = [0] * count
    for position, index in enumerate(order):
        other[index] = order[(position + 1) % count]
    return other
