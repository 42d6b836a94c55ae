"""Rules about losses: not finite, above their start, rising, overfitted."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from looptop.engine.runs.alerts.records import Alert, AlertCode, Rule
from looptop.engine.runs.alerts.windows import Block, Blocks, WindowRule

FINITE = frozenset({"loss", "eval_loss", "grad_norm"})
"""The metrics of looptop's own trainers that must be finite; others may be unknown."""
FP16_GRACE = 20
"""Gradient norms in a row that may be infinite in fp16: its loss scale begins at 2^16 and is halved at each of them."""

SHARE_ABOVE, ABOVE_START = 0.75, 1.1
"""The training loss stays above its start if this share of a window is this many times above it."""
FIRST_LOSSES = 3
"""How many training losses define the start if there was no evaluation before the first step."""

LOST_SHARE = 0.5
"""The training loss rises if it loses this share of what it had gained ..."""
SURE_ERRORS = 8.0
"""... and this many standard errors, the least of many medians being some errors below their mean ..."""
BLOCKS_ABOVE = 2
"""... in this many windows in a row."""

WORSE_FRACTION = 0.01
UNJUDGED_FRACTION = 0.1
"""The first tenth of a run is not judged by its validation loss, because a warm-up may raise it."""

RISEN, RISEN_OF_START = 0.05, 0.02
"""Overfitting: the validation loss is above its least by this share of it (Prechelt, "Early stopping - but when?",
1998: generalisation loss of 5 %), and by this share of the loss before training: near zero, every change is large."""
EVALUATIONS_ABOVE = 3
"""In this many evaluations in a row (Prechelt: three successive strips)."""


class NotFinite(Rule):
    """A metric is NaN or infinite.

    Args:
        names: The metrics that must be finite; None for all.
    """

    metrics = FINITE

    def __init__(self, names: Collection[str] | None = FINITE) -> None:
        self._names = names
        self._raised: set[str] = set()
        self._fp16 = False
        self._in_a_row = 0

    def on_facts(self, facts: Mapping[str, Any]) -> None:
        """Reads the precision."""
        if "precision" in facts:
            self._fp16 = facts["precision"] == "fp16"

    def on_metrics(self, step: int, values: Mapping[str, float]) -> Iterable[Alert]:
        """Raises one alert for each metric."""
        for name, value in values.items():
            if self._names is not None and name not in self._names:
                continue
            finite = math.isfinite(value)
            if name == "grad_norm":
                self._in_a_row = 0 if finite else self._in_a_row + 1
                finite = finite or (self._fp16 and self._in_a_row <= FP16_GRACE)
            if not finite and name not in self._raised:
                self._raised.add(name)
                yield Alert(AlertCode.NOT_FINITE, step, {"value": value}, name)


class LossAboveStart(WindowRule):
    """The training loss stays above its start."""

    metrics = frozenset({"loss", "eval_loss"})
    needs_falling_loss = True

    def __init__(self) -> None:
        super().__init__()
        self._first: list[float] = []
        self._before: float | None = None
        """The validation loss before training."""
        self._above: deque[bool] = deque()
        self._count = 0

    def on_metrics(self, step: int, values: Mapping[str, float]) -> Iterable[Alert]:
        """Raises an alert where most of the last losses are above the start."""
        before, loss = values.get("eval_loss"), values.get("loss")
        if before is not None and step <= 0 and math.isfinite(before):
            self._before = before
        if loss is None or not math.isfinite(loss):
            return
        self.window.add(step)
        if len(self._first) < FIRST_LOSSES:
            self._first.append(loss)
        start = max(self._first) if self._before is None else max(self._before, self._first[0])
        self._above.append(loss > ABOVE_START * start > 0)
        self._count += self._above[-1]
        size = self.window.size
        while len(self._above) > size:
            self._count -= self._above.popleft()
        if self._count >= SHARE_ABOVE * size:
            yield Alert(AlertCode.LOSS_ABOVE_START, step, {"loss": loss, "start": start})


class LossRising(WindowRule):
    """The training loss has fallen and has been rising for long since."""

    metrics = frozenset({"loss"})
    needs_falling_loss = True

    def __init__(self) -> None:
        super().__init__()
        self._blocks = Blocks()
        self._first: Block | None = None
        self._least: tuple[Block, int] | None = None
        self._above = 0

    def on_metrics(self, step: int, values: Mapping[str, float]) -> Iterable[Alert]:
        """Compares each window of losses with the least window before it."""
        loss = values.get("loss")
        if loss is None or not math.isfinite(loss):
            return
        self.window.add(step)
        block = self._blocks.add(loss, self.window.size)
        if block is None:
            return
        if self._first is None or self._least is None:
            self._first, self._least = block, (block, step)
            return
        least, at = self._least
        gained, lost = self._first.median - least.median, block.median - least.median
        risen = lost > LOST_SHARE * gained and lost > SURE_ERRORS * max(block.error, least.error) and gained > 0
        self._above = self._above + 1 if risen else 0
        if block.median < least.median:
            self._least = (block, step)
        if self._above >= BLOCKS_ABOVE:
            figures = {"loss": block.median, "least": least.median, "least_step": float(at)}
            yield Alert(AlertCode.LOSS_RISING, step, figures)


class EvalLossWorse(WindowRule):
    """The validation loss is worse than before training."""

    metrics = frozenset({"eval_loss"})
    needs_falling_loss = True

    def __init__(self) -> None:
        super().__init__()
        self._start: float | None = None

    def on_metrics(self, step: int, values: Mapping[str, float]) -> Iterable[Alert]:
        """Compares an evaluation with the one before training."""
        loss = values.get("eval_loss")
        if loss is None or not math.isfinite(loss):
            return
        if step <= 0:
            self._start = loss
            return
        if self._start is None or step < UNJUDGED_FRACTION * self.window.total:
            return
        if loss > self._start + WORSE_FRACTION * abs(self._start):
            yield Alert(AlertCode.EVAL_LOSS_WORSE, step, {"loss": loss, "start": self._start})


class Overfitting(Rule):
    """The validation loss rises while the training loss falls."""

    metrics = frozenset({"loss", "eval_loss"})
    needs_falling_loss = True

    def __init__(self) -> None:
        self._start: float | None = None
        """The first validation loss."""
        self._sum, self._count = 0.0, 0
        """Of the training losses since the last evaluation."""
        self._least: tuple[float, float, int] | None = None
        """The least validation loss, the mean training loss before it, and its step."""
        self._above = 0

    def on_metrics(self, step: int, values: Mapping[str, float]) -> Iterable[Alert]:
        """Compares an evaluation with the best one so far."""
        loss, validation = values.get("loss"), values.get("eval_loss")
        if loss is not None and math.isfinite(loss):
            self._sum, self._count = self._sum + loss, self._count + 1
        if validation is None or not math.isfinite(validation):
            return
        if self._start is None:
            self._start = validation
        if not self._count:
            return
        training = self._sum / self._count
        self._sum, self._count = 0.0, 0
        if self._least is None or validation < self._least[0]:
            self._least, self._above = (validation, training, step), 0
            return
        least, training_then, at = self._least
        risen = validation - least
        overfits = risen > RISEN * abs(least) and risen > RISEN_OF_START * abs(self._start) and training < training_then
        self._above = self._above + 1 if overfits else 0
        if self._above >= EVALUATIONS_ABOVE:
            figures = {"loss": validation, "least": least, "least_step": float(at)}
            yield Alert(AlertCode.OVERFITTING, step, figures)
