"""Makes a run of a training loop that is nobody's Trainer: shown, paused, saved and stopped like any other run.

with looptop.engine.log("my loop", total_steps=1000, save=save) as run:
    for step in range(1, 1001):
        ...
        if not run.end_step(step, {"loss": loss}):
            break
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from looptop.engine.runs.external_run import ExternalRun
from looptop.engine.runs.folder import RunFolder


class LoopRun:
    """The run of a loop, while the loop goes on. `log` makes it."""

    def __init__(self, run: ExternalRun, save: Callable[[int], object] | None) -> None:
        self.folder: RunFolder = run.folder
        self._run = run
        self._save = save

    @property
    def id(self) -> str:
        """What a person types: `trainer-7`."""
        return self.folder.id

    def metrics(self, step: int, values: Mapping[str, Any]) -> None:
        """Journals values of a step beside those of `end_step`, as an evaluation's.

        Args:
            step: The step, counted from 1; 0 is before training.
            values: By name: numbers, or tensors that hold one.
        """
        self._run.journal.metrics(step, values)

    def end_step(self, step: int, values: Mapping[str, Any]) -> bool:
        """Journals a step's values, takes the controls that were sent, and waits while the run is paused.

        Args:
            step: The step, counted from 1.
            values: By name: numbers, or tensors that hold one.

        Returns:
            Whether to go on; False where the run was told to stop.
        """
        self.metrics(step, values)
        verdict = self._run.gate.at_step_end(step)
        if not verdict.checkpoint:
            return not verdict.stop
        if self._save is not None:
            self._save(step)
            self._run.journal.event("checkpoint", f"checkpoint of step {step} written", step)
        else:
            self._run.journal.event("checkpoint", "no checkpoint is written: the loop gave no save function", step)
        return not self._run.gate.after_checkpoint(step)


@contextlib.contextmanager
def log(
    name: str = "",
    *,
    total_steps: int | None = None,
    settings: Mapping[str, Any] | None = None,
    save: Callable[[int], object] | None = None,
) -> Iterator[LoopRun]:
    """Makes the loop in the block a run: finished when the block ends, failed when an exception leaves it.

    Args:
        name: The run's title.
        total_steps: How long the loop will be, for progress and the time left.
        settings: What the loop was started with, kept in the run's configuration.
        save: Writes a checkpoint of the step that it receives. Called in `end_step` where a person asks for one, and
            where the run is stopped.

    Raises:
        LooptopError: The run's folder cannot be made or written.
    """
    run = ExternalRun(name, settings or {}, {} if total_steps is None else {"total_steps": total_steps})
    try:
        yield LoopRun(run, save)
    except BaseException as error:
        run.end(error)
        raise
    run.end()
