"""Says what is left out of a run's data: all of it by name in the log, and by name in events as far as that helps."""

from __future__ import annotations

import logging
from collections import Counter

from looptop.engine.journal.writer import JournalWriter
from looptop.engine.text import visible
from looptop.engine.vqa.problems import SHOWN, Problem

NAMED = 100
"""Of each kind, so many are named in events; the log names all."""

_log = logging.getLogger("looptop.data")


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
