"""A run that ends before its last step says why."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from transformers import TrainerControl, TrainerState

from looptop.engine.training.early_stopping import JournalledEarlyStopping, early_stopping


def test_the_run_says_that_it_stops_early() -> None:
    events: list[tuple[str, str, int]] = []
    journal = SimpleNamespace(event=lambda kind, text, step: events.append((kind, text, step)))
    context: Any = SimpleNamespace(journal=journal)
    callback = JournalledEarlyStopping(context, 2)
    args = SimpleNamespace(metric_for_best_model="eval_accuracy", greater_is_better=True)
    state, control = TrainerState(max_steps=100), TrainerControl()
    for step, accuracy in ((10, 0.5), (20, 0.5), (30, 0.4)):
        state.global_step = step
        assert not events
        callback.on_evaluate(args, state, control, {"eval_accuracy": accuracy})
        state.best_metric = 0.5
    assert control.should_training_stop
    assert events == [
        (
            "early_stopping",
            "stops early, after step 30 of 100: 2 evaluations in a row without improvement of eval_accuracy"
            " (training.early_stopping_patience)",
            30,
        )
    ]
    assert not early_stopping(context, 0)
