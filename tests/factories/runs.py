"""Runs that train nothing: their configuration, steps, checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from looptop.engine.config import RunConfig, preset
from looptop.engine.journal.records import RunState
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs.context import RunContext
from looptop.engine.runs.folder import RunFolder


def config(save_minutes: float = 1000.0) -> RunConfig:
    import msgspec

    tiny = preset("tiny")
    return msgspec.structs.replace(tiny, training=msgspec.structs.replace(tiny.training, save_minutes=save_minutes))


class Steps:
    """Trains nothing, step by step, for as long as the test lets it.

    Args:
        total: Steps to make.
        save: Called with the step if a checkpoint is requested.
    """

    def __init__(self, total: int = 1_000_000, save: Callable[[RunContext, int], object] | None = None) -> None:
        self.total = total
        self.save = save
        self.made: list[int] = []
        self.saved: list[int] = []

    def __call__(self, context: RunContext) -> dict[str, Any]:
        first = 1
        if context.resume_from is not None:
            first = int(context.resume_from.name.rpartition("-")[2]) + 1
        for step in range(first, self.total + 1):
            self.made.append(step)
            context.journal.metrics(step, {"loss": 1.0 / step})
            verdict = context.gate.at_step_end(step)
            stop = verdict.stop
            if verdict.checkpoint:
                self.saved.append(step)
                if self.save is not None:
                    self.save(context, step)
                stop = context.gate.after_checkpoint(step) or stop
            if stop:
                break
            context.stop_requested.wait(0.002)
        return {"accuracy": 0.5, "loss": 1.0, "seconds": 1.0}


def write_checkpoint(context: RunContext, step: int) -> Path:
    """A checkpoint as Trainer would leave it, sealed."""
    from looptop.engine.runs import checkpoint

    path = context.folder.checkpoints / f"checkpoint-{step}"
    checkpoint.begin(path, context.journal)
    path.mkdir()
    (path / "model.safetensors").write_bytes(b"x" * 1000)
    checkpoint.seal(path)
    return path


def run_with_loss(loss: float = 1.0, state: RunState = RunState.FINISHED) -> RunFolder:
    """A run of one step."""
    folder = RunFolder.create("vqa", preset("tiny"))
    writer = JournalWriter(folder.db)
    writer.metrics(1, {"loss": loss})
    writer.state(state)
    assert writer.close()
    return folder
