"""VQA runs that nobody trained: journals that the real writer wrote."""

from __future__ import annotations

import math
from collections.abc import Callable

from looptop.engine.config import preset
from looptop.engine.journal.reader import AnswerSample, JournalWriter
from looptop.engine.runs.folder import RunFolder, RunState


def make_run(
    steps: int = 120,
    total: int = 200,
    state: RunState | None = RunState.FINISHED,
    extra: Callable[[JournalWriter], None] | None = None,
) -> RunFolder:
    """A run whose journal the real writer wrote."""
    run = RunFolder.create("vqa", preset("tiny"))
    writer = JournalWriter(run.db)
    writer.state(RunState.RUNNING)
    writer.facts(total_steps=total, device="cpu", precision="fp32", n_train=1000, n_validation=50, parameters=901_234)
    for step in range(1, steps + 1):
        writer.metrics(
            step,
            {
                "loss": 2 * math.exp(-step / 40),
                "learning_rate": 1e-3,
                "grad_norm": 0.5,
                "samples_per_second": 1234.0,
                "seconds_left": float(total - step),
                "epoch": step / 20,
            },
        )
        if step % 40 == 0:
            writer.metrics(step, {"eval_loss": 1.0 / step, "eval_accuracy": step / total})
            writer.answer_samples(step, [AnswerSample("1", "1.png", f"what is it at {step}?", "red", "red", 0.9, 1.0)])
    writer.event("checkpoint", "checkpoint of step 120 written", 120)
    if extra is not None:
        extra(writer)
    if state is not None:
        writer.state(state)
    writer.close()
    return run
