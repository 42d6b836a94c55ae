"""Which answers a model takes for which: a table of right answers by given answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol, TypeVar

from msgspec import Struct


class Answered(Protocol):
    """An answered question, as the samples of a run and the results of an evaluation hold it."""

    @property
    def truth(self) -> str:
        """The right answer."""

    @property
    def answer(self) -> str:
        """The model's answer."""

    @property
    def confidence(self) -> float:
        """The model's probability of its answer."""


class Typed(Protocol):
    """An answered question with its type."""

    @property
    def truth(self) -> str:
        """The right answer."""

    @property
    def answer(self) -> str:
        """The model's answer."""

    @property
    def answer_type(self) -> str:
        """`yes/no`, `number` or `other`."""


AnsweredQuestion = TypeVar("AnsweredQuestion", bound=Answered)

MAX_LABELS = 20
"""The most answers that have a row of their own; the others share one."""


class Confusion(Struct, frozen=True):
    """Counts of questions by right answer and given answer."""

    labels: tuple[str | None, ...]
    """The answers of rows and columns, by answer type, the most frequent of each first; None stands for all others."""
    counts: tuple[tuple[int, ...], ...]
    """For each right answer (row) the number of times that each answer (column) was given."""


def confusion(results: Sequence[Typed], most: int = MAX_LABELS) -> Confusion:
    """The table of the answers that are most frequent among right and given ones."""
    labels = _labels(results, most)
    index = {label: number for number, label in enumerate(labels)}
    others = index.get(None, -1)
    counts = [[0] * len(labels) for _ in labels]
    for one in results:
        counts[index.get(one.truth, others)][index.get(one.answer, others)] += 1
    return Confusion(labels, tuple(map(tuple, counts)))


def in_cell(
    results: Sequence[AnsweredQuestion], table: Confusion, truth: str | None, answer: str | None
) -> list[AnsweredQuestion]:
    """The questions of one cell, those of the highest confidence first."""
    known = {label for label in table.labels if label is not None}
    some = [one for one in results if _is_of(one.truth, truth, known) and _is_of(one.answer, answer, known)]
    return sorted(some, key=lambda one: -one.confidence)


def _is_of(text: str, label: str | None, known: set[str]) -> bool:
    return text == label if label is not None else text not in known


def _labels(results: Sequence[Typed], most: int) -> tuple[str | None, ...]:
    truths = Counter(one.truth for one in results)
    counts = truths + Counter(one.answer for one in results)
    kept = [label for label, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
    has_others = len(kept) > most
    kept = kept[: most - 1] if has_others else kept
    types: dict[str, str] = {}
    for one in results:
        types.setdefault(one.truth, one.answer_type)
    sizes = Counter(one.answer_type for one in results)
    # Answers that are never right come last: they belong to no type.
    ordered = sorted(
        kept,
        key=lambda label: (
            label not in types,
            -sizes[types.get(label, "")],
            types.get(label, ""),
            -truths[label],
            label,
        ),
    )
    return (*ordered, None) if has_others else tuple(ordered)
