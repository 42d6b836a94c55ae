"""Windows of values: how many a rule judges, and the median of each block of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import Any

from looptop.engine.runs.alerts.records import Rule

WINDOW = 40
"""The fewest values that a rule judges: no spike, warm-up or noise lasts that long."""
WINDOW_SHARE = 1 / 50
"""The share of all steps that a rule judges, if that is more."""

_NORMAL = 1.4826
"""A normal distribution's standard deviation, in medians of the absolute deviation."""


class WindowSize:
    """The number of values in a window of a run: a fiftieth of all that it will log, `WINDOW` at least."""

    def __init__(self) -> None:
        self.total = 0
        """The steps of the whole run; 0 if unknown."""
        self._first: int | None = None
        self._every = 0

    def on_facts(self, facts: Mapping[str, Any]) -> None:
        """Reads the length of the run."""
        if isinstance(total := facts.get("total_steps"), int):
            self.total = total

    def add(self, step: int) -> None:
        """Learns from the first two logged steps how many steps lie between two."""
        if self._first is None:
            self._first = step
        elif not self._every:
            self._every = max(1, step - self._first)

    @property
    def size(self) -> int:
        """The number of values."""
        return max(WINDOW, int(self.total * WINDOW_SHARE) // max(self._every, 1))


class WindowRule(Rule):
    """A rule that judges windows of values."""

    def __init__(self) -> None:
        self.window = WindowSize()

    def on_facts(self, facts: Mapping[str, Any]) -> None:
        """Reads the length of the run."""
        self.window.on_facts(facts)


class Block:
    """A complete block of values.

    Args:
        values: The values, finite.
    """

    def __init__(self, values: list[float]) -> None:
        self.median = statistics.median(values)
        spread = _NORMAL * statistics.median(abs(value - self.median) for value in values)
        # A median's standard error is 1.25 times the mean's (for a normal distribution).
        self.error = 1.25 * spread / math.sqrt(len(values))


class Blocks:
    """Gathers values, and gives a block each time that one is complete."""

    def __init__(self) -> None:
        self._values: list[float] = []

    def add(self, value: float, size: int) -> Block | None:
        """Adds a value.

        Args:
            value: The value, finite.
            size: The number of values in a block.

        Returns:
            The block that it completes, if it completes one.
        """
        self._values.append(value)
        if len(self._values) < size:
            return None
        block, self._values = Block(self._values), []
        return block
