"""Ends a run whose evaluations no longer improve, and says so."""

from __future__ import annotations

from typing import Any

from transformers import EarlyStoppingCallback, TrainerCallback

from looptop.engine.runs.context import RunContext


def early_stopping(context: RunContext, patience: int) -> list[TrainerCallback]:
    """The callback that stops after `patience` evaluations in a row without improvement; none if that is 0."""
    return [JournalledEarlyStopping(context, patience)] if patience else []


class JournalledEarlyStopping(EarlyStoppingCallback):
    """transformers' callback; the run's events say when it ends the run, which else just looks finished too soon."""

    def __init__(self, context: RunContext, patience: int) -> None:
        super().__init__(patience)
        self._context = context
        self._patience = patience

    def on_evaluate(  # type: ignore[override]  # EarlyStoppingCallback's own signature differs so
        self, args: Any, state: Any, control: Any, metrics: Any, **kwargs: Any
    ) -> None:
        """Counts the evaluation, and journals the decision to stop."""
        before = control.should_training_stop
        super().on_evaluate(args, state, control, metrics, **kwargs)  # type: ignore[no-untyped-call]
        if control.should_training_stop and not before and state.global_step < state.max_steps:
            self._context.journal.event(
                "early_stopping",
                f"stops early, after step {state.global_step:,} of {state.max_steps:,}: {self._patience:,}"
                f" {'evaluation' if self._patience == 1 else 'evaluations in a row'} without improvement of"
                f" {args.metric_for_best_model} (training.early_stopping_patience)",
                step=state.global_step,
            )
