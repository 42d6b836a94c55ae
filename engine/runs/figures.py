"""What a kind of run is judged by: the figures that lists, progress lines and results name, and their metrics.

No torch here: a list of runs costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from looptop.engine.journal.records import Point


@dataclass(frozen=True)
class Figure:
    """One figure of a kind of run."""

    word: str
    """What it is called."""
    metrics: tuple[str, ...]
    """Where it stands, the one to prefer first."""
    percent: bool = False
    """Whether it is a fraction, to be shown in percent."""

    def of(self, latest: Mapping[str, Point]) -> Point | None:
        """Its newest value."""
        return next((latest[name] for name in self.metrics if name in latest), None)


_ACCURACY = Figure("accuracy", ("test_accuracy", "eval_accuracy"), percent=True)
_LOSS = Figure("loss", ("test_loss", "eval_loss"))

FIGURES: dict[str, tuple[Figure, ...]] = {
    "vqa": (_ACCURACY, _LOSS),
    "reward": (_ACCURACY, _LOSS),
    "ppo": (Figure("reward", ("eval_reward",)), Figure("kl", ("eval_kl",))),
}
"""Of each kind, the headline first."""


def figures_of(kind: str) -> tuple[Figure, ...]:
    """The figures of a kind; of somebody's own Trainer, its loss."""
    return FIGURES.get(kind, (Figure("loss", ("eval_loss", "loss")),))
