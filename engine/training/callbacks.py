"""Connects a `transformers.Trainer` to a run: its logs go to the journal, and controls are taken when a step ends.

In looptop's own training the callback gets the run. Added to any other Trainer, also of TRL, it makes a run of its own:

    trainer = SFTTrainer(..., callbacks=[looptop.engine.JournalCallback(name="my fine-tuning")])

With GRPO and RLOO it also journals the model's completions, with rewards and advantages.

What the trainer logs before `train()` is kept for the run that begins then. What it logs afterwards, in `evaluate()`
and `predict()`, goes into the run that has ended; with several trainers, each has its own run. Trainer does not tell a
callback when an exception leaves `train()`, so in a notebook the run would stay live as long as the kernel. Nor does it
tell which trainer calls. So `Trainer.train` is wrapped when the first callback with a run of its own is made. Errors in
such a callback never reach the training.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import numbers
import os
import sys
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from looptop.engine.errors import LooptopError, error_text
from looptop.engine.files.lock import RunLock
from looptop.engine.journal.completions import write_completions
from looptop.engine.journal.writer import JournalWriter
from looptop.engine.runs.alerts.reaction import OnAlert
from looptop.engine.runs.context import RunContext
from looptop.engine.runs.external_run import ExternalRun
from looptop.engine.runs.folder import RunFolder
from looptop.engine.training.trl_completions import CompletionReader

_log = logging.getLogger("looptop.callback")

MAX_EARLY_LOGS = 1000
"""The largest number of logs that are kept before training begins."""

_Hook = TypeVar("_Hook", bound=Callable[..., None])


def _never_raises(hook: _Hook) -> _Hook:
    """Keeps errors of a callback with a run of its own away from the training that calls it."""

    @functools.wraps(hook)
    def call(self: JournalCallback, *args: Any, **kwargs: Any) -> None:
        if not self._own:
            return hook(self, *args, **kwargs)
        try:
            hook(self, *args, **kwargs)
        except Exception as error:
            self._warn_once(error)

    return call  # type: ignore[return-value]  # of the same signature


class JournalCallback(TrainerCallback):
    """Journals what a Trainer logs, and passes on the controls that are sent to the run.

    Args:
        context: The run that trains; None makes a run of its own, of kind `trainer`, when training begins.
        name: The title of a run of its own: a text, or an object that can be written as one, such as a path; None for
            no title.
        leave_out: Names of metrics that are journalled elsewhere. Trainer's `loss` is the mean of a window of steps;
            if each step's own loss is journalled, the mean would replace that of the last step.
        on_alert: What an alert of a run of its own does: `continue` only shows it; the others start the notify command,
            and `pause` and `stop` also pause or stop the training.
    """

    def __init__(
        self,
        context: RunContext | None = None,
        name: object = "",
        leave_out: Collection[str] = (),
        on_alert: OnAlert = "notify",
    ) -> None:
        self.name = name
        self.on_alert = on_alert
        self.leave_out = frozenset(leave_out)
        self.folder = context.folder if context else None
        """The run's folder; for a run of its own, set when training begins."""
        self._journal = context.journal if context else None
        self._gate = context.gate if context else None
        self._run: ExternalRun | None = None
        self._own = context is None
        self._logged: tuple[int, frozenset[str]] = (-1, frozenset())
        self.trainer: Any = None
        """The trainer that trains now. Trainer does not pass itself to callbacks, and only it has the completions."""
        self._completions = CompletionReader()
        self._before: list[tuple[int, dict[str, float]]] = []
        """What was logged before training began."""
        self._state: TrainerState | None = None
        """The state of the training that the run belongs to."""
        self._ended: list[tuple[weakref.ref[TrainerState], RunFolder]] = []
        """The callback's own runs that have ended, by the state of their training."""
        self._warned: set[str] = set()
        if self._own:
            _wrap_train()

    @_never_raises
    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begins a run of its own; journals how long the training will be."""
        if not state.is_world_process_zero:
            return
        if self._own:
            self._begin(args, state)
        if self._journal is not None:
            self._journal.facts(total_steps=state.max_steps, epochs=float(state.num_train_epochs))

    @_never_raises
    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Journals the logged numbers."""
        self._write(state, logs or {})

    @_never_raises
    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Journals the numbers that the evaluation has not logged already."""
        step, names = self._logged
        known = names if step == state.global_step else frozenset()
        self._write(state, {name: value for name, value in (metrics or {}).items() if name not in known})
        if self.trainer is not None:
            self._completions.skip(self.trainer)

    @_never_raises
    def on_predict(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        """Journals the metrics of a prediction, which Trainer does not log."""
        if self._own:
            self._write(state, metrics or {})

    @_never_raises
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Takes controls and waits while the run is paused; then may ask Trainer to save or stop."""
        if self._gate is None:
            return
        self._write_completions(state.global_step)
        verdict = self._gate.at_step_end(state.global_step)
        # After an epoch's last step Trainer evaluates and saves anyway. A checkpoint made before that would lack the
        # evaluation, and a run resumed from it would never make it.
        saves_anyway = args.save_strategy == SaveStrategy.EPOCH and _is_whole(state.epoch)
        control.should_save = control.should_save or (verdict.checkpoint and not saves_anyway)
        control.should_training_stop = control.should_training_stop or verdict.stop

    @_never_raises
    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keeps Trainer from evaluating and saving once more after a stop in the middle of an epoch."""
        if self._gate is not None and self._gate.stop_requested.is_set() and not _is_whole(state.epoch):
            control.should_evaluate = control.should_save = control.should_log = False

    @_never_raises
    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Continues the pause if the checkpoint was asked for during one."""
        if self._gate is not None and self._gate.after_checkpoint(state.global_step):
            control.should_training_stop = True

    @_never_raises
    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ends a run of its own."""
        if self._run is not None:
            self._write_completions(state.global_step)
            self._end()

    @_never_raises
    def end_by(self, error: BaseException | None) -> None:
        """Ends a run of its own whose `train()` was left.

        Args:
            error: The exception that left it; None if it returned without calling `on_train_end`.
        """
        self._end(error)

    def _end(self, error: BaseException | None = None) -> None:
        if run := self._detach_run():
            run.end(error)

    def _detach_run(self) -> ExternalRun | None:
        """Returns the live run of its own, for the caller to end it; later logs then belong to an ended run."""
        run, self._run = self._run, None
        if run is not None:
            atexit.unregister(self._end_abandoned)
            self._journal = self._gate = None
            self._ended = [(state_of, folder) for state_of, folder in self._ended if state_of() is not None]
            if self._state is not None:
                self._ended.append((weakref.ref(self._state), run.folder))
        return run

    @_never_raises
    def _end_abandoned(self) -> None:
        """Ends a run whose training was left by an exception, when the program ends or trains again."""
        run = self._detach_run()
        error = getattr(sys, "last_value", None)
        if run is not None and error is None:
            run.end_unexplained()
        elif run is not None:
            run.end(error)

    def _begin(self, args: TrainingArguments, state: TrainerState) -> None:
        self._end_abandoned()  # An exception may have left a subclass's own `train`, which is not wrapped.
        self._state = state
        self.folder = None
        settings = {key: value for key, value in args.to_sanitized_dict().items() if isinstance(value, _PLAIN)}
        facts = {
            "device": str(args.device),
            "output_dir": str(args.output_dir),
            "precision": "fp16" if args.fp16 else "bf16" if args.bf16 else "fp32",
        }
        run = ExternalRun(_as_text(self.name), settings, facts, self.on_alert)
        self._run, self.folder, self._journal, self._gate = run, run.folder, run.journal, run.gate
        atexit.register(self._end_abandoned)
        before, self._before = self._before, []
        for step, values in before:
            run.journal.metrics(step, values)
        if state.global_step:
            run.journal.event("resume", f"resumes from step {state.global_step} of an earlier training")

    def _warn_once(self, error: Exception) -> None:
        """Logs an error of this callback, each message once."""
        message = f"{type(error).__name__}: {error_text(error)}"
        if message not in self._warned:
            self._warned.add(message)
            _log.warning("the training continues, but its run is incomplete: %s", message)

    def _write_completions(self, step: int) -> None:
        """Journals the completions that are new since the last call."""
        if self._journal is None or not self._own or self.trainer is None:
            return
        if completions := self._completions.fresh(self.trainer):
            write_completions(self._journal, step, completions)

    def _write(self, state: TrainerState, logs: Mapping[str, Any]) -> None:
        if not state.is_world_process_zero and self._own:
            return
        step = state.global_step
        values = {
            str(name): number
            for name, value in logs.items()
            if name not in self.leave_out and (number := _as_number(value)) is not None
        }
        # The logs may belong to a training other than the running one.
        ended = next((folder for state_of, folder in self._ended if state_of() is state), None)
        if ended is not None:
            if values:
                with self._reopened(ended) as journal:
                    journal.metrics(step, values)
        elif self._journal is not None:
            self._journal.metrics(step, values)
        elif self._own and values and len(self._before) < MAX_EARLY_LOGS:
            self._before.append((step, values))
        before = self._logged[1] if self._logged[0] == step else frozenset()
        self._logged = (step, before | values.keys())

    @contextlib.contextmanager
    def _reopened(self, folder: RunFolder) -> Iterator[JournalWriter]:
        """Opens the journal of a run that has ended, for logs that come after training; the run stays ended."""
        if not folder.db.is_file():
            raise LooptopError(f"{folder.id} was deleted")
        with RunLock(folder.lock, folder.id).acquire(heartbeat=False):
            journal = JournalWriter(folder.db)
            try:
                yield journal
            finally:
                journal.close()


def _is_whole(epoch: float | None) -> bool:
    return epoch is not None and epoch == int(epoch)


def _as_text(name: object) -> str:
    """A name of any type as text; empty for None."""
    if isinstance(name, bytes | os.PathLike):
        return os.fsdecode(name)
    return "" if name is None else str(name)


_PLAIN = (str, int, float, bool)


def _as_number(value: object) -> float | None:
    """A logged value as a float; None if it is not a number or is too large."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        return float(value)
    except (OverflowError, ValueError):
        return None


def _wrap_train() -> None:
    """Wraps `Trainer.train`, once, so that callbacks know the trainer and the run ends however `train()` ends."""
    plain = Trainer.train
    if hasattr(plain, "_tells_callbacks"):
        return

    @functools.wraps(plain)
    def train(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        left_by: BaseException | None = None
        callbacks = [each for each in self.callback_handler.callbacks if isinstance(each, JournalCallback)]
        # A callback may belong to two trainers, of which one trains inside the other's training.
        outer = [callback.trainer for callback in callbacks]
        for callback in callbacks:
            callback.trainer = self
        try:
            return plain(self, *args, **kwargs)
        except BaseException as error:
            left_by = error
            raise
        finally:
            for callback in self.callback_handler.callbacks:
                if isinstance(callback, JournalCallback):
                    callback.end_by(left_by)
            for callback, trainer in zip(callbacks, outer, strict=True):
                callback.trainer = trainer

    train._tells_callbacks = True  # type: ignore[attr-defined]
    Trainer.train = train  # type: ignore[method-assign]
