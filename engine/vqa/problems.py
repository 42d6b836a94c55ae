"""What is wrong in a data set: counted by kind, listed by name, and left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import Struct

from looptop.engine.runs.messages import packable
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


@packable
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
