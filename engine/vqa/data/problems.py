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

NAMES_IN_SUMMARY = 5
"""The largest number of names of each kind of problem in a summary."""

NAMES_IN_EVENTS = 100
"""The largest number of names of each kind of problem in a run's events; the log has all names."""

_log = logging.getLogger("looptop.data")


@packable
class Problem(Struct, frozen=True):
    """One row or image that cannot be used, and why."""

    kind: str
    name: str
    """The image, question or row."""
    detail: str = ""

    def __str__(self) -> str:
        return visible(f"{self.kind}: {self.name}" + (f" ({self.detail})" if self.detail else ""))


@dataclass
class Problems:
    """Collects problems.

    Attributes:
        all: Every problem, in order.
        on_problem: Called with each problem as it is added.
    """

    on_problem: Callable[[Problem], None] | None = None
    all: list[Problem] = field(default_factory=list)

    def add(self, kind: str, name: object, detail: object = "") -> None:
        """Adds a problem and reports it."""
        problem = Problem(kind, str(name), str(detail))
        self.all.append(problem)
        if self.on_problem is not None:
            self.on_problem(problem)

    def __len__(self) -> int:
        return len(self.all)

    @property
    def counts(self) -> dict[str, int]:
        """The number of problems of each kind, the most frequent first."""
        return dict(Counter(problem.kind for problem in self.all).most_common())

    def names(self, kind: str) -> list[str]:
        """The names of all problems of a kind."""
        return [problem.name for problem in self.all if problem.kind == kind]

    def summary(self) -> list[tuple[str, str]]:
        """For each kind, its number of problems and the first names, as text for people."""
        return [(kind, f"{count:,} ({self._names_text(kind)})") for kind, count in self.counts.items()]

    def __str__(self) -> str:
        return "; ".join(f"{kind}: {text}" for kind, text in self.summary())

    def _names_text(self, kind: str) -> str:
        problems = [problem for problem in self.all if problem.kind == kind]
        shown = problems[:NAMES_IN_SUMMARY]
        names = [f"{problem.name}: {problem.detail}" if kind == BAD_ROW else problem.name for problem in shown]
        if kind == UNSUPPORTED_IMAGE:
            names[0] = problems[0].detail  # Names the image and what to do, which is the same for the whole format.
        more = ", ..." if len(problems) > len(shown) else ""
        return ", ".join(visible(name) for name in dict.fromkeys(names)) + more


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
        key = (problem.kind, problem.name)
        if key not in self._seen:
            self._seen.add(key)
            self._unreported.setdefault(problem.kind, []).append(problem)
            _log.warning("left out: %s", problem)

    def report(self, step: int | None = None) -> None:
        """Journals the problems added since the last report: one event for each kind, with names and the total."""
        for kind, new in self._unreported.items():
            before = self.counts[kind]
            self.counts[kind] += len(new)
            named = new[: max(0, NAMES_IN_EVENTS - before)]
            names = [self._name(problem, before + index) for index, problem in enumerate(named)]
            if len(new) > len(named):
                names.append(f"{len(new) - len(named):,} more, which the log names")
            total = f", {self.counts[kind]:,} in all" if before else ""
            self._journal.event("data", f"left out, {kind}: {len(new):,}{total}: {', '.join(names)}", step, "warning")
        if self._unreported:
            self._journal.facts(left_out=dict(self.counts))
            self._unreported = {}

    @staticmethod
    def _name(problem: Problem, index: int) -> str:
        """The name; the first few with their detail."""
        detail = f" ({problem.detail})" if problem.detail and index < NAMES_IN_SUMMARY else ""
        return visible(problem.name + detail)
