"""Connects a `transformers.Trainer` to a run: its logs go to the journal, controls are taken at its steps' ends.

In looptop's own training the callback gets the run. Added to anybody's Trainer, or TRL trainer, it makes a run of its
own:

    trainer = SFTTrainer(..., callbacks=[looptop.engine.JournalCallback(name="my fine-tuning")])

With GRPO and RLOO it journals what the model writes too, with rewards and advantages: from the trainer where it is
handed over, else from the files that `log_completions=True` makes.

    callback = looptop.engine.JournalCallback(name="my GRPO")
    trainer = GRPOTrainer(..., callbacks=[callback])
    callback.trainer = trainer
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import math
import numbers
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from looptop.engine.runs.about import LONGEST_TITLE, write_about
from looptop.engine.runs.alerts import LossAlerts
from looptop.engine.runs.completions import write_completions
from looptop.engine.runs.folder import RunFolder
from looptop.engine.runs.gate import Gate
from looptop.engine.runs.lock import RunLock
from looptop.engine.runs.notify import Notifier
from looptop.engine.runs.private import touch_private
from looptop.engine.runs.records import RunState
from looptop.engine.runs.run_log import RunLog
from looptop.engine.runs.trl_completions import FromFiles, FromTrainer
from looptop.engine.runs.worker import RunContext, append_to_log
from looptop.engine.runs.writer import JournalWriter
from looptop.engine.text import visible


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
        self.trainer: Any = None
        """The trainer, where it is handed over: a callback is not given it, and only it knows all completions."""
        self._generations = FromTrainer()
        self._files: FromFiles | None = None
        self._notifier: Notifier | None = None
        self._strange: set[str] = set()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Says how long the run will be."""
        if not state.is_world_process_zero:
            return
        if self._own:
            self._begin(args, state)
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
        if self.trainer is not None:
            self._generations.skip(self.trainer)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Passes the gate: may wait while the run is paused, may ask for a checkpoint or a stop."""
        if self._gate is None:
            return
        self._write_completions(state.global_step)
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
        if not self._own or self._gate is None:
            return
        self._write_completions(state.global_step)
        stopped = self._gate.stop_requested.is_set()
        self._end(RunState.STOPPED if stopped else RunState.FINISHED, "stopped on request" if stopped else "")

    def _end(self, state: RunState, reason: str = "") -> None:
        """Ends a run of its own."""
        if self._journal is None or self._gate is None or self._lock is None:
            return
        self._journal.state(state, reason)
        self._gate.end()
        self._journal.close()
        self._lock.release()
        self._journal = self._gate = self._lock = None
        if self._notifier is not None:
            self._notifier.tell(str(state), reason)
            self._notifier.close()
        atexit.unregister(self._cut_short)

    def _cut_short(self) -> None:
        """The program ends, or trains anew, and nobody said that training had ended: it raised something."""
        error = getattr(sys, "last_value", None)
        reason = f"{type(error).__name__}: {error}" if error is not None else "training ended without a word"
        stopped = isinstance(error, KeyboardInterrupt)
        self._end(RunState.STOPPED if stopped else RunState.FAILED, visible(reason)[:500])

    def _begin(self, args: TrainingArguments, state: TrainerState) -> None:
        self._cut_short()  # what an exception ended in a notebook
        settings = {key: value for key, value in args.to_sanitized_dict().items() if isinstance(value, _PLAIN)}
        self.folder = RunFolder.create("trainer", {"kind": "trainer", "name": self.name, "arguments": settings})
        self._lock = RunLock(self.folder.lock, self.folder.id).acquire()
        self._journal = JournalWriter(self.folder.db)
        self._gate = Gate(self.folder, self._journal)
        self._notifier = Notifier(self.folder.path)
        with contextlib.suppress(OSError):
            touch_private(self.folder.log)
        self._journal.listeners = [
            RunLog(functools.partial(append_to_log, self.folder)),
            self._notifier,
            LossAlerts(self._journal, "learning_rate"),
        ]
        self._files = FromFiles(Path(str(args.output_dir))) if getattr(args, "log_completions", False) else None
        self._strange.clear()
        if self.name:
            write_about(self.folder.path, title=" ".join(self.name.split())[:LONGEST_TITLE])
        self._journal.facts(name=self.name, device=str(args.device), output_dir=str(args.output_dir))
        self._journal.state(RunState.RUNNING)
        if state.global_step:
            self._journal.event("resume", f"goes on from step {state.global_step} of an earlier training")
        atexit.register(self._cut_short)

    def _write_completions(self, step: int) -> None:
        """What the model wrote since the last time."""
        if self._journal is None or not self._own:
            return
        if self.trainer is not None:
            if found := self._generations.fresh(self.trainer):
                write_completions(self._journal, step, found)
        elif self._files is not None:
            for file_step, found in self._files.fresh():
                write_completions(self._journal, file_step, found)

    def _write(self, step: int, logs: Mapping[str, Any]) -> None:
        if self._journal is None:
            return
        values = {
            name: float(value) for name, value in logs.items() if _is_number(value) and name not in self.leave_out
        }
        self._journal.metrics(step, values)
        if self._own:
            self._alert(step, values)
        before = self._logged[1] if self._logged[0] == step else frozenset()
        self._logged = (step, before | values.keys())

    def _alert(self, step: int, values: Mapping[str, float]) -> None:
        """Says once of each metric that it is no number any more."""
        for name, value in values.items():
            # The listener of the losses says it of these.
            if name in ("loss", "eval_loss"):
                continue
            if not math.isfinite(value) and name not in self._strange and self._journal is not None:
                self._strange.add(name)
                self._journal.event("alert", f"{name} is {value} at step {step}", step, "warning")


def _is_whole(epoch: float | None) -> bool:
    return epoch is not None and epoch == int(epoch)


_PLAIN = (str, int, float, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
