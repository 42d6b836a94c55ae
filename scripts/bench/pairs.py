"""Ratios from alternating pairs: a machine's speed drifts, so both sides are measured one directly after the other."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PAIRS = 9


@dataclass(frozen=True)
class Ratio:
    """The ratios of all pairs, and the medians of both sides."""

    median: float
    lowest: float
    highest: float
    ours: float
    peer: float
    pairs: int = PAIRS

    def __str__(self) -> str:
        return f"{self.median:.2f} (from {self.lowest:.2f} to {self.highest:.2f}; {self.pairs} pairs)"


def paired(ours: Callable[[], float], peer: Callable[[], float], pairs: int = PAIRS) -> Ratio:
    """Measures both `pairs` times in turn, after one pair that is not counted; the ratio is ours over the peer's."""
    ours(), peer()
    measured = [(ours(), peer()) for _ in range(pairs)]
    ratios = sorted(mine / theirs for mine, theirs in measured)
    return Ratio(
        statistics.median(ratios),
        ratios[0],
        ratios[-1],
        statistics.median(mine for mine, _ in measured),
        statistics.median(theirs for _, theirs in measured),
        pairs,
    )


def processor() -> str:
    """The CPU's name, from the kernel."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown processor"
