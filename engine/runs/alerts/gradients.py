"""Rules about the gradient norm (before clipping): exploding, vanishing."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterable, Mapping

from looptop.engine.runs.alerts.records import Alert, AlertCode
from looptop.engine.runs.alerts.windows import Blocks, WindowRule, WindowSize

EXPLODING = 10.0
"""The norm explodes if a window's median is this many times the usual one: in healthy runs it grows up to threefold
while the loss falls (the presets' runs, and warm-ups), and single spikes are what clipping is for."""
VANISHING = 1e-3
"""The norm vanishes if a window's median is this share of the usual one ..."""
NEGLIGIBLE_NORM = 1e-8
"""... or below this: with Adam's epsilon of 1e-8 in its divisor, an update is a fraction of the learning rate ..."""
UNLEARNED = 0.5
"""... while the loss is above this share of its start: a model that has learned its data has small gradients, too."""
WINDOWS_KEPT = 200
"""Windows that define what is usual, the last ones: of a run whose length is unknown they could be any number."""


class _Norms:
    """The median of each window of gradient norms, beside the usual one."""

    def __init__(self, window: WindowSize) -> None:
        self._window = window
        self._blocks = Blocks()
        self._medians: deque[float] = deque(maxlen=WINDOWS_KEPT)

    def add(self, step: int, values: Mapping[str, float]) -> tuple[float, float | None] | None:
        """Adds the norm of a step. Returns the median of the window that it completes and that of the windows before,
        None for the first; None if it completes none.
        """
        norm = values.get("grad_norm")
        if norm is None or not math.isfinite(norm):
            return None
        self._window.add(step)
        block = self._blocks.add(norm, self._window.size)
        if block is None:
            return None
        usual = statistics.median(self._medians) if self._medians else None
        self._medians.append(block.median)
        return block.median, usual


class Exploding(WindowRule):
    """The gradient norm explodes."""

    metrics = frozenset({"grad_norm"})

    def __init__(self) -> None:
        super().__init__()
        self._norms = _Norms(self.window)

    def on_metrics(self, step: int, values: Mapping[str, float]) -> Iterable[Alert]:
        """Compares each window of norms with those before it."""
        norm, usual = self._norms.add(step, values) or (0.0, None)
        if usual is not None and norm > EXPLODING * usual > 0:
            yield Alert(AlertCode.GRADIENT_EXPLODING, step, {"norm": norm, "usual": usual})


class Vanishing(WindowRule):
    """The gradient norm vanishes before the data are learned."""

    metrics = frozenset({"loss", "grad_norm"})
    needs_falling_loss = True

    def __init__(self) -> None:
        super().__init__()
        self._norms = _Norms(self.window)
        self._losses = Blocks()
        self._first_loss: float | None = None
        self._loss: float | None = None
        """The median of the last complete window."""

    def on_metrics(self, step: int, values: Mapping[str, float]) -> Iterable[Alert]:
        """Compares each window of norms with those before it and with `NEGLIGIBLE_NORM`, while the loss is high."""
        loss = values.get("loss")
        if loss is not None and math.isfinite(loss):
            self._first_loss = loss if self._first_loss is None else self._first_loss
            if (losses := self._losses.add(loss, self.window.size)) is not None:
                self._loss = losses.median
        if (window := self._norms.add(step, values)) is None or self._loss is None or self._first_loss is None:
            return
        norm, usual = window
        vanished = norm < NEGLIGIBLE_NORM or (usual is not None and norm < VANISHING * usual)
        if vanished and self._loss > UNLEARNED * self._first_loss > 0:
            values = {"norm": norm} if usual is None else {"norm": norm, "usual": usual}
            yield Alert(AlertCode.GRADIENT_VANISHING, step, values)
