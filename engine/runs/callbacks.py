"""Connects a `transformers.Trainer` to a run: its logs go to the journal, controls are taken at its steps' ends.

In looptop's own training the callback gets the run. Added to anybody's Trainer, or TRL trainer, it makes a run of its
own:

    trainer = SFTTrainer(..., callbacks=[looptop.engine.JournalCallback(name="my fine-tuning")])
"""

from __future__ import annotations

import numbers
from collections.abc import Collection, Mapping
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.gate import Gate
from looptop.engine.runs.lock import RunLock
from looptop.engine.runs.records import RunState
from looptop.engine.runs.worker import RunContext
from looptop.engine.runs.writer import JournalWriter


class JournalCallback(TrainerCallback):
    """Journals what a Trainer logs, and hands it the controls that were sent to the run.

    Args:
        context: The run that trains; None makes a run of its own, of kind `trainer`, when training begins.
        name: What to call a run of its own.
        leave_out: Names of metrics that somebody else journals. Trainer's `loss` is the mean of a window of
            steps; where each step's own is journalled, the mean would replace the last one's.
    """

    def __init__(self, context: RunContext | None = None, name: str = "", leave_out: Collection[str] = ()) -> None:
        self.name = name
        self.leave_out = frozenset(leave_out)
        self.folder = context.folder if context else None
        """The run's folder; of a run of its own from the beginning of training."""
        self._journal = context.journal if context else None
        self._gate = context.gate if context else None
        self._lock: RunLock | None = None
        self._own = context is None
        self._logged: tuple[int, frozenset[str]] = (-1, frozenset())

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Says how long the run will be."""
        if not state.is_world_process_zero:
            return
        if self._own:
            self._begin(args)
        if self._journal is not None:
            self._journal.facts(total_steps=state.max_steps, epochs=float(state.num_train_epochs))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Journals the numbers."""
        self._write(state.global_step, logs or {})

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Journals the numbers that the evaluation did not log already."""
        step, names = self._logged
        known = names if step == state.global_step else frozenset()
        self._write(state.global_step, {name: value for name, value in (metrics or {}).items() if name not in known})

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Passes the gate: may wait while the run is paused, may ask for a checkpoint or a stop."""
        if self._gate is None:
            return
        verdict = self._gate.at_step_end(state.global_step)
        # At an epoch's last step Trainer evaluates and saves in a moment: a checkpoint made before that would lack the
        # evaluation, and a run resumed from it would never make it.
        comes_anyway = args.save_strategy == SaveStrategy.EPOCH and _is_whole(state.epoch)
        control.should_save = control.should_save or (verdict.checkpoint and not comes_anyway)
        control.should_training_stop = control.should_training_stop or verdict.stop

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keeps Trainer from evaluating and saving again when it was stopped in the middle of an epoch."""
        if self._gate is not None and self._gate.stop_requested.is_set() and not _is_whole(state.epoch):
            control.should_evaluate = control.should_save = control.should_log = False

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Goes on waiting where the checkpoint was asked for during a pause."""
        if self._gate is not None and self._gate.after_checkpoint(state.global_step):
            control.should_training_stop = True

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ends a run of its own."""
        if not self._own or self._journal is None or self._gate is None or self._lock is None:
            return
        stopped = self._gate.stop_requested.is_set()
        self._journal.state(RunState.STOPPED if stopped else RunState.FINISHED)
        self._gate.end()
        self._journal.close()
        self._lock.release()
        self._journal = self._gate = self._lock = None

    def _begin(self, args: TrainingArguments) -> None:
        settings = {key: value for key, value in args.to_sanitized_dict().items() if isinstance(value, _PLAIN)}
        self.folder = RunFolder.create("trainer", {"kind": "trainer", "name": self.name, "arguments": settings})
        self._lock = RunLock(self.folder.lock, self.folder.id).acquire()
        self._journal = JournalWriter(self.folder.db)
        self._gate = Gate(self.folder, self._journal)
        self._journal.facts(name=self.name)
        self._journal.state(RunState.RUNNING)

    def _write(self, step: int, logs: Mapping[str, Any]) -> None:
        if self._journal is None:
            return
        values = {
            name: float(value) for name, value in logs.items() if _is_number(value) and name not in self.leave_out
        }
        self._journal.metrics(step, values)
        before = self._logged[1] if self._logged[0] == step else frozenset()
        self._logged = (step, before | values.keys())


def _is_whole(epoch: float | None) -> bool:
    return epoch is not None and epoch == int(epoch)


_PLAIN = (str, int, float, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
