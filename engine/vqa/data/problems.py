"""What is wrong in a data set: counted by kind, listed by name, and left out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import Struct

from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs.wire import travels
from looptop.engine.text import visible

MISSING_IMAGE = "missing image"
BROKEN_IMAGE = "broken image"
UNREAD_IMAGE = "image of a format that is not read"
NO_ANNOTATION = "question without annotation"
DUPLICATE_ID = "duplicate id"
EMPTY_QUESTION = "empty question"
EMPTY_ANSWER = "empty answer"
LONG_QUESTION = "question too long for the text encoder"
BAD_ROW = "row that cannot be read"

SHOWN = 5
"""Names shown of each kind where only some are."""

NAMED = 100
"""Of each kind, so many are named in a run's events; the log names all."""

_log = logging.getLogger("looptop.data")


@travels
class Problem(Struct, frozen=True):
    """One thing that is wrong in a data set."""

    kind: str
    name: str
    """Which image, question or row."""
    detail: str = ""

    def __str__(self) -> str:
        return visible(f"{self.kind}: {self.name}" + (f" ({self.detail})" if self.detail else ""))


@dataclass
class Problems:
    """Collects problems.

    Attributes:
        all: Every one, in the order they were met: for a log.
        on_problem: Told of each as it is met.
    """

    on_problem: Callable[[Problem], None] | None = None
    all: list[Problem] = field(default_factory=list)

    def add(self, kind: str, name: object, detail: object = "") -> None:
        """Notes one."""
        problem = Problem(kind, str(name), str(detail))
        self.all.append(problem)
        if self.on_problem is not None:
            self.on_problem(problem)

    def __len__(self) -> int:
        return len(self.all)

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind, the most frequent first."""
        return dict(Counter(problem.kind for problem in self.all).most_common())

    def names(self, kind: str) -> list[str]:
        """What each problem of a kind is about."""
        return [problem.name for problem in self.all if problem.kind == kind]

    def summary(self) -> list[tuple[str, str]]:
        """For each kind, how many there are and the first few names, for people."""
        return [(kind, f"{count:,} ({self._some(kind)})") for kind, count in self.counts.items()]

    def __str__(self) -> str:
        return "; ".join(f"{kind}: {some}" for kind, some in self.summary())

    def _some(self, kind: str) -> str:
        some = [problem for problem in self.all if problem.kind == kind]
        names = [f"{one.name}: {one.detail}" if kind == BAD_ROW else one.name for one in some[:SHOWN]]
        if kind == UNREAD_IMAGE:
            names[0] = some[0].detail  # Names the image and says what to do, which is the same for all of a format.
        return ", ".join(visible(name) for name in dict.fromkeys(names)) + (", ..." if len(some) > SHOWN else "")


class LeftOut:
    """Counts and tells problems, each once, from wherever in a run they are met.

    Args:
        journal: The run's.
    """

    def __init__(self, journal: JournalWriter) -> None:
        self._journal = journal
        self._seen: set[tuple[str, str]] = set()
        self._fresh: dict[str, list[Problem]] = {}
        self.counts: Counter[str] = Counter()
        """How many there are of each kind so far."""

    def __call__(self, problem: Problem) -> None:
        """Notes one, and logs it."""
        key = (problem.kind, problem.name)
        if key not in self._seen:
            self._seen.add(key)
            self._fresh.setdefault(problem.kind, []).append(problem)
            _log.warning("left out: %s", problem)

    def tell(self, step: int | None = None) -> None:
        """Journals what was noted since the last time: an event for each kind, the true total, and the names."""
        for kind, fresh in self._fresh.items():
            told = self.counts[kind]
            self.counts[kind] += len(fresh)
            named = fresh[: max(0, NAMED - told)]
            names = [self._name(problem, told + place) for place, problem in enumerate(named)]
            if len(fresh) > len(named):
                names.append(f"{len(fresh) - len(named):,} more, which the log names")
            total = f", {self.counts[kind]:,} in all" if told else ""
            self._journal.event("data", f"left out, {kind}: {len(fresh):,}{total}: {', '.join(names)}", step, "warning")
        if self._fresh:
            self._journal.facts(left_out=dict(self.counts))
            self._fresh = {}

    @staticmethod
    def _name(problem: Problem, place: int) -> str:
        """With what is wrong with it, where it is one of the first."""
        detail = f" ({problem.detail})" if problem.detail and place < SHOWN else ""
        return visible(problem.name + detail)
