"""Rows and images that are left out of a data set: collected, counted by kind, and reported to the run."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import Struct

from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs.messages import packable
from looptop.engine.text import visible

MISSING_IMAGE = "missing image"
BROKEN_IMAGE = "broken image"
UNSUPPORTED_IMAGE = "image of an unsupported format"
NO_ANNOTATION = "question without annotation"
DUPLICATE_ID = "duplicate id"
EMPTY_QUESTION = "empty question"
EMPTY_ANSWER = "empty answer"
LONG_QUESTION = "question too long for the text encoder"
BAD_ROW = "row that cannot be read"

ITEMS_IN_SUMMARY = 5
"""The largest number of items of each kind of problem in a summary."""

ITEMS_IN_EVENTS = 100
"""The largest number of items of each kind of problem in a run's events; the log has all."""

_log = logging.getLogger("looptop.data")


@packable
class Problem(Struct, frozen=True):
    """One row or image that cannot be used, and why."""

    kind: str
    item: str
    """The image, question or row."""
    detail: str = ""

    def __str__(self) -> str:
        return visible(f"{self.kind}: {self.item}" + (f" ({self.detail})" if self.detail else ""))


@dataclass
class Problems:
    """Collects problems.

    Attributes:
        collected: Every problem, in order.
        on_problem: Called with each problem as it is added.
    """

    on_problem: Callable[[Problem], None] | None = None
    collected: list[Problem] = field(default_factory=list)

    def add(self, kind: str, item: object, detail: object = "") -> None:
        """Adds a problem and reports it."""
        problem = Problem(kind, str(item), str(detail))
        self.collected.append(problem)
        if self.on_problem is not None:
            self.on_problem(problem)

    def __len__(self) -> int:
        return len(self.collected)

    @property
    def counts(self) -> dict[str, int]:
        """The number of problems of each kind, the most frequent first."""
        return dict(Counter(problem.kind for problem in self.collected).most_common())

    def items(self, kind: str) -> list[str]:
        """The images, questions or rows that have a problem of a kind."""
        return [problem.item for problem in self.collected if problem.kind == kind]

    def summary(self) -> list[tuple[str, str]]:
        """For each kind, its number of problems and the first items, as text for people."""
        return [(kind, f"{count:,} ({self._items_text(kind)})") for kind, count in self.counts.items()]

    def __str__(self) -> str:
        return "; ".join(f"{kind}: {text}" for kind, text in self.summary())

    def _items_text(self, kind: str) -> str:
        problems = [problem for problem in self.collected if problem.kind == kind]
        shown = problems[:ITEMS_IN_SUMMARY]
        texts = [f"{problem.item}: {problem.detail}" if kind == BAD_ROW else problem.item for problem in shown]
        if kind == UNSUPPORTED_IMAGE:
            texts[0] = problems[0].detail  # Names the image and what to do, which is the same for the whole format.
        more = ", ..." if len(problems) > len(shown) else ""
        return ", ".join(visible(text) for text in dict.fromkeys(texts)) + more


class ProblemReporter:
    """Logs each problem of a run's data once, and reports them as events in the journal.

    Args:
        journal: The run's journal.
    """

    def __init__(self, journal: JournalWriter) -> None:
        self._journal = journal
        self._seen: set[tuple[str, str]] = set()
        self._unreported: dict[str, list[Problem]] = {}
        self.counts: Counter[str] = Counter()
        """The number of reported problems of each kind; problems added since the last report are not counted yet."""

    def __call__(self, problem: Problem) -> None:
        """Adds a problem, and logs it if it is new."""
        key = (problem.kind, problem.item)
        if key not in self._seen:
            self._seen.add(key)
            self._unreported.setdefault(problem.kind, []).append(problem)
            _log.warning("left out: %s", problem)

    def report(self, step: int | None = None) -> None:
        """Journals the problems added since the last report: one event for each kind, with its items and the total."""
        for kind, new in self._unreported.items():
            reported = self.counts[kind]
            self.counts[kind] += len(new)
            listed = new[: max(0, ITEMS_IN_EVENTS - reported)]
            texts = [self._text(problem, reported + index) for index, problem in enumerate(listed)]
            if len(new) > len(listed):
                texts.append(f"{len(new) - len(listed):,} more, which the log names")
            total = f", {self.counts[kind]:,} in all" if reported else ""
            self._journal.event("data", f"left out, {kind}: {len(new):,}{total}: {', '.join(texts)}", step, "warning")
        if self._unreported:
            self._journal.facts(left_out=dict(self.counts))
            self._unreported = {}

    @staticmethod
    def _text(problem: Problem, index: int) -> str:
        """The item; the first few with their detail."""
        detail = f" ({problem.detail})" if problem.detail and index < ITEMS_IN_SUMMARY else ""
        return visible(problem.item + detail)
