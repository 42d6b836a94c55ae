"""The rule about accuracy: no better than answering from the question alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from looptop.engine.errors import LooptopError
from looptop.engine.journal.reader import Journal
from looptop.engine.runs.alerts.records import Alert, AlertCode, Rule

QUESTION_ONLY = "question_only_accuracy"
"""The fact that holds the validation accuracy of answering from the question alone."""


class QuestionOnly(Rule):
    """The validation accuracy of VQA is no better than without the image, in the run's second half or at its end."""

    metrics = frozenset({"eval_accuracy"})
    needs_falling_loss = True

    def __init__(self) -> None:
        self._total = 0
        self._question_only: float | None = None
        self._accuracy: tuple[int, float] | None = None

    def on_facts(self, facts: Mapping[str, Any]) -> None:
        """Reads the length of the run, and the accuracy of answering from the question alone."""
        if isinstance(total := facts.get("total_steps"), int):
            self._total = total
        if isinstance(accuracy := facts.get(QUESTION_ONLY), float):
            self._question_only = accuracy

    def on_metrics(self, step: int, values: Mapping[str, float]) -> Iterable[Alert]:
        """Judges an evaluation in the second half."""
        accuracy = values.get("eval_accuracy")
        if accuracy is None or step <= 0:
            return ()
        self._accuracy = (step, accuracy)
        return self.on_finish() if 2 * step >= self._total else ()

    def on_finish(self) -> Iterable[Alert]:
        """Judges the last evaluation: a run may end before its second half."""
        if self._accuracy is None or self._question_only is None:
            return
        step, accuracy = self._accuracy
        if accuracy <= self._question_only and accuracy < 1:
            figures = {"accuracy": accuracy, "question_only": self._question_only}
            yield Alert(AlertCode.NO_BETTER_THAN_QUESTION, step, figures)


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
