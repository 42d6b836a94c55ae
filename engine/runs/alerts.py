"""Watches the losses and the accuracy of a run, and raises an alert if training goes wrong without failing.

The rules; each raises one alert in a run at most:

- a loss is NaN or infinite;
- the training loss stays above its start: three quarters of the last 40 values (or of a fiftieth of all steps, if that
  is more) are more than a tenth above the loss before training. No spike, warm-up or noise lasts that long;
- the validation loss of an evaluation is more than 1 % worse than before training. The first tenth of a run is not
  judged, because a warm-up may raise the loss;
- the validation accuracy is no better than answering from the question alone (VQA), at an evaluation in the second half
  of the run or at the last one.

For a trainer that maximises a reward (GRPO, RLOO, PPO), only the first rule applies: its loss may rise while it learns.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from looptop.engine.errors import LooptopError
from looptop.engine.journal.causes import Cause
from looptop.engine.journal.reader import Journal
from looptop.engine.journal.records import RunState
from looptop.engine.journal.writer import JournalWriter, Listener

QUESTION_ONLY = "question_only_accuracy"
"""The fact that holds the validation accuracy of answering from the question alone."""

WINDOW = 40
WINDOW_SHARE = 1 / 50
SHARE_ABOVE = 0.75
ABOVE_START_FACTOR = 1.1
WORSE_FRACTION = 0.01
UNJUDGED_FRACTION = 0.1
FIRST_LOSSES = 3
"""How many training losses define the start if there was no evaluation before the first step."""

_WATCHED = ("loss", "eval_loss", "eval_accuracy")


class LossAlerts(Listener):
    """Raises the alerts of one run.

    Args:
        journal: Receives the alerts.
        lower_rate: The setting to lower if the loss rises.
    """

    def __init__(self, journal: JournalWriter, lower_rate: str = "training.learning_rate") -> None:
        self._journal = journal
        self._lower_rate = lower_rate
        self._replaying = False
        self._raised: set[str] = set()
        self._total = 0
        self._question_only: float | None = None
        self._eval_start: float | None = None
        self._first_losses: list[float] = []
        self._first_steps: list[int] = []
        self._above: deque[bool] = deque(maxlen=WINDOW)
        self._accuracy: tuple[int, float] | None = None
        self._rises_by_design = False

    def on_facts(self, values: Mapping[str, Any]) -> None:
        """Reads the length of the run, and the accuracy of answering from the question alone."""
        if isinstance(total := values.get("total_steps"), int):
            self._total = total
        if isinstance(accuracy := values.get(QUESTION_ONLY), float):
            self._question_only = accuracy

    def on_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Checks the values of a step."""
        self._rises_by_design = self._rises_by_design or any(map(_is_reward, values))
        for name in ("loss", "eval_loss"):
            value = values.get(name)
            if value is not None and not math.isfinite(value):
                self._raise(f"{name}_not_finite", f"{name} is {value} at step {step}", step)
        loss, eval_loss, accuracy = (values.get(name) for name in _WATCHED)
        if not self._rises_by_design:
            if eval_loss is not None and math.isfinite(eval_loss):
                self._judge_eval_loss(step, eval_loss)
            if loss is not None and math.isfinite(loss):
                self._judge_loss(step, loss)
        if accuracy is not None and step > 0:
            self._accuracy = (step, accuracy)
            if 2 * step >= self._total:
                self._judge_accuracy()

    def on_state(self, state: RunState, reason: str, cause: Cause | None) -> None:
        """Checks the last evaluation, if the run ended before its second half."""
        if state is RunState.FINISHED:
            self._judge_accuracy()

    def replay(self, journal: Journal, last_step: int) -> None:
        """Reads the metrics of a resumed run up to its checkpoint, so that no alert is raised twice.

        Args:
            journal: A reader of the run's journal.
            last_step: The checkpoint's step.
        """
        try:
            self.on_facts(journal.facts())
            points = [(each.step, name, each.value) for name in _WATCHED for each in journal.values(name)]
        except LooptopError:  # a damaged journal: an alert may be raised again
            return
        points.sort(key=lambda point: (point[0], point[1]))
        self._replaying = True
        for step, group in groupby(points, key=lambda point: point[0]):
            if step <= last_step:
                self.on_metrics(step, {name: math.nan if value is None else value for _, name, value in group})
        self._replaying = False

    def _judge_loss(self, step: int, loss: float) -> None:
        if len(self._first_losses) < FIRST_LOSSES:
            self._first_losses.append(loss)
            self._first_steps.append(step)
            if len(self._first_steps) == 2:
                every = max(1, step - self._first_steps[0])
                self._above = deque(maxlen=max(WINDOW, int(self._total * WINDOW_SHARE) // every))
        start = max(self._first_losses) if self._eval_start is None else max(self._eval_start, self._first_losses[0])
        self._above.append(loss > ABOVE_START_FACTOR * start > 0)
        if sum(self._above) >= SHARE_ABOVE * (self._above.maxlen or WINDOW):
            self._raise(
                "loss_above_start",
                f"the training loss stays above its start: {loss:.4g} at step {step}, {start:.4g} before training; a"
                f" lower {self._lower_rate} may help",
                step,
            )

    def _judge_eval_loss(self, step: int, loss: float) -> None:
        if step <= 0:
            self._eval_start = loss
        elif self._eval_start is not None and step >= UNJUDGED_FRACTION * self._total:
            start = self._eval_start
            if loss > start + WORSE_FRACTION * abs(start):
                self._raise(
                    "eval_loss_worse",
                    f"the validation loss is worse than before training: {loss:.4g} at step {step}, {start:.4g} before",
                    step,
                )

    def _judge_accuracy(self) -> None:
        if self._accuracy is None or self._question_only is None:
            return
        step, accuracy = self._accuracy
        if accuracy <= self._question_only and accuracy < 1:
            self._raise(
                "no_better_than_question",
                f"the validation accuracy is no better than answering from the question alone: {100 * accuracy:.1f} %"
                f" at step {step}, {100 * self._question_only:.1f} % without the image",
                step,
            )

    def _raise(self, code: str, text: str, step: int) -> None:
        if code in self._raised:
            return
        self._raised.add(code)
        if not self._replaying:
            self._journal.event("alert", text, step, "warning", code=code)


def _is_reward(metric: str) -> bool:
    """Whether TRL's trainers that maximise a reward log this metric; those that learn from pairs do not."""
    return metric in ("reward", "eval_reward") or metric.startswith("objective/")


def read_question_only(path: Path) -> float | None:
    """The `QUESTION_ONLY` fact that the run journalled before it was resumed; None if there is none.

    Args:
        path: The run's journal.
    """
    try:
        known = Journal(path).facts().get(QUESTION_ONLY)
    except LooptopError:
        return None
    return known if isinstance(known, float) else None
