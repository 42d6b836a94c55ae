"""Rules about losses: not finite, above their start, rising, overfitted."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from looptop.engine.runs.alerts.records import Alert, AlertCode, Rule
from looptop.engine.runs.alerts.windows import Block, Blocks, WindowRule

FINITE = frozenset({"loss", "eval_loss", "grad_norm"})
"""The metrics of looptop's own trainers that must be finite; others may be NaN."""
FP16_INFINITE_NORMS = 20
"""How many gradient norms in a row may be infinite in fp16: its loss scale begins at 2^16 and is halved at each."""

SHARE_ABOVE, ABOVE_START = 0.75, 1.1
"""The training loss stays above its start if this share of a window's losses is above this factor times the start."""
FIRST_LOSSES = 3
"""The start is the maximum of this many first training losses if there was no evaluation before the first step."""

RISE_SHARE = 0.5
"""The training loss rises if it rises again by more than this share of its fall ..."""
SURE_ERRORS = 8.0
"""... and by more than this many standard errors of a window's median, because the lowest of many medians is a few
errors too low by chance ..."""
BLOCKS_ABOVE = 2
"""... in this many windows in a row."""

WORSE_FRACTION = 0.01
"""The validation loss is worse if it exceeds the one before training by more than this share of it."""
UNJUDGED_FRACTION = 0.1
"""`EvalLossWorse` does not judge this first part of a run, because a warm-up may raise the validation loss."""

RISEN, RISEN_OF_START = 0.05, 0.02
"""Overfitting: the validation loss is above its least by this share of it (Prechelt, "Early stopping - but when?",
1998: generalisation loss of 5 %), and by this share of the first validation loss: near zero, every change is large."""
EVALUATIONS_ABOVE = 3
"""The validation loss must be that high in this many evaluations in a row (Prechelt: three successive strips)."""


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
        self._infinite_norms = 0
        """How many of the last gradient norms in a row were not finite."""

    def on_facts(self, facts: Mapping[str, Any]) -> None:
        """Reads the precision."""
        if "precision" in facts:
            self._fp16 = facts["precision"] == "fp16"

    def on_metrics(self, step: int, values: Mapping[str, float]) -> Iterable[Alert]:
        """Gives one alert for each metric, when it is first not finite."""
        for name, value in values.items():
            if self._names is not None and name not in self._names:
                continue
            finite = math.isfinite(value)
            if name == "grad_norm":
                self._infinite_norms = 0 if finite else self._infinite_norms + 1
                finite = finite or (self._fp16 and self._infinite_norms <= FP16_INFINITE_NORMS)
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
        """Gives an alert when most of the last losses are above the start."""
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
    """The training loss has fallen, and has stayed well above its lowest since."""

    metrics = frozenset({"loss"})
    needs_falling_loss = True

    def __init__(self) -> None:
        super().__init__()
        self._blocks = Blocks()
        self._first: Block | None = None
        self._least: tuple[Block, int] | None = None
        self._above = 0

    def on_metrics(self, step: int, values: Mapping[str, float]) -> Iterable[Alert]:
        """Compares each window's median loss with the lowest of the windows before it."""
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
        fall, rise = self._first.median - least.median, block.median - least.median
        risen = rise > RISE_SHARE * fall and rise > SURE_ERRORS * max(block.error, least.error) and fall > 0
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
