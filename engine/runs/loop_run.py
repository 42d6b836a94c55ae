"""Makes a run of a training loop without a Trainer: it can be watched, paused, saved and stopped like any other run.

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

from looptop.engine.runs.alerts.reaction import OnAlert
from looptop.engine.runs.external_run import ExternalRun
from looptop.engine.runs.folder import RunFolder


class LoopRun:
    """The run of a training loop. `log` makes it."""

    def __init__(self, run: ExternalRun, save: Callable[[int], object] | None) -> None:
        self.folder: RunFolder = run.folder
        self._run = run
        self._save = save

    @property
    def id(self) -> str:
        """What a person types: `trainer-7`."""
        return self.folder.id

    def metrics(self, step: int, values: Mapping[str, Any]) -> None:
        """Journals further values of a step, such as those of an evaluation.

        Args:
            step: The step, counted from 1; 0 for before training.
            values: By name: numbers, or tensors with one element.
        """
        self._run.journal.metrics(step, values)

    def end_step(self, step: int, values: Mapping[str, Any]) -> bool:
        """Journals the values of a step, takes the controls that were sent, and waits while the run is paused.

        Args:
            step: The step, counted from 1.
            values: By name: numbers, or tensors with one element.

        Returns:
            Whether to continue; False if the run must stop.
        """
        self.metrics(step, values)
        verdict = self._run.gate.at_step_end(step)
        if not verdict.checkpoint:
            return not verdict.stop
        if self._save is not None:
            self._save(step)
            self._run.journal.event("checkpoint", f"checkpoint of step {step} written", step)
        else:
            text = "no checkpoint was written: the loop has no save function"
            self._run.journal.event("checkpoint", text, step, "warning")
        return not self._run.gate.after_checkpoint(step)


@contextlib.contextmanager
def log(
    name: str = "",
    *,
    total_steps: int | None = None,
    settings: Mapping[str, Any] | None = None,
    save: Callable[[int], object] | None = None,
    on_alert: OnAlert = "notify",
) -> Iterator[LoopRun]:
    """Makes the block a run: it is finished when the block ends, and failed if the block raises.

    Args:
        name: The run's title.
        total_steps: The length of the loop, to show progress and the time left.
        settings: The settings of the loop, for the run's configuration.
        save: Writes a checkpoint of the step that it receives. `end_step` calls it if a person asks for a checkpoint,
            and when the run is stopped.
        on_alert: What an alert does: `continue` only shows it; the others start the notify command, and `pause` and
            `stop` also pause or stop the run.

    Raises:
        LooptopError: There is no such `on_alert`; the run's folder cannot be made or written to.
    """
    facts = {} if total_steps is None else {"total_steps": total_steps}
    run = ExternalRun(name, settings or {}, facts, on_alert)
    try:
        yield LoopRun(run, save)
    except BaseException as error:
        run.end(error)
        raise
    run.end()
