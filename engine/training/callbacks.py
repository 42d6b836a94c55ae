"""Connects a `transformers.Trainer` to a run: its logs go to the journal, controls are taken at its steps' ends.

In looptop's own training the callback gets the run. Added to anybody's Trainer, or TRL trainer, it makes a run of its
own:

    trainer = SFTTrainer(..., callbacks=[looptop.engine.JournalCallback(name="my fine-tuning")])

With GRPO and RLOO it journals what the model writes too, with rewards and advantages.

What the trainer logs before `train()` is kept for the run that begins then, and what it logs afterwards, as
`evaluate()` and `predict()` do, goes into the run that has ended; with several trainers, into each one's own. A
callback is not told when an exception leaves `train()`, which in a notebook would leave the run live for as long as
the kernel, nor which trainer calls it: so `Trainer.train` is wrapped when the first callback with a run of its own is
made. Nothing that goes wrong
in such a callback reaches the training.
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
from looptop.engine.runs.context import RunContext
from looptop.engine.runs.external_run import ExternalRun
from looptop.engine.runs.folder import RunFolder
from looptop.engine.training.trl_completions import FromTrainer

_log = logging.getLogger("looptop.callback")

MOST_KEPT = 1000
"""Logs that are kept before training begins."""

_Hook = TypeVar("_Hook", bound=Callable[..., None])


def _harmless(hook: _Hook) -> _Hook:
    """Keeps what goes wrong in a run of the callback's own from the training that calls it."""

    @functools.wraps(hook)
    def call(self: JournalCallback, *args: Any, **kwargs: Any) -> None:
        if not self._own:
            return hook(self, *args, **kwargs)
        try:
            hook(self, *args, **kwargs)
        except Exception as error:
            self._tell_once(error)

    return call  # type: ignore[return-value]  # of the same signature


class JournalCallback(TrainerCallback):
    """Journals what a Trainer logs, and hands it the controls that were sent to the run.

    Args:
        context: The run that trains; None makes a run of its own, of kind `trainer`, when training begins.
        name: What to call a run of its own: text, or anything that has one (a path); None is no name.
        leave_out: Names of metrics that somebody else journals. Trainer's `loss` is the mean of a window of
            steps; where each step's own is journalled, the mean would replace the last one's.
    """

    def __init__(self, context: RunContext | None = None, name: object = "", leave_out: Collection[str] = ()) -> None:
        self.name = name
        self.leave_out = frozenset(leave_out)
        self.folder = context.folder if context else None
        """The run's folder; of a run of its own from the beginning of training."""
        self._journal = context.journal if context else None
        self._gate = context.gate if context else None
        self._run: ExternalRun | None = None
        self._own = context is None
        self._logged: tuple[int, frozenset[str]] = (-1, frozenset())
        self.trainer: Any = None
        """The trainer that trains now: a callback is not given it, and only it knows all completions."""
        self._generations = FromTrainer()
        self._before: list[tuple[int, dict[str, float]]] = []
        """What was logged before training began."""
        self._state: TrainerState | None = None
        """Of the training that the run is, or was, of."""
        self._ended: list[tuple[weakref.ref[TrainerState], RunFolder]] = []
        """The runs of its own that have ended, by the state of their training."""
        self._told: set[str] = set()
        if self._own:
            _wrap_train()

    @_harmless
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

    @_harmless
    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Journals the numbers."""
        self._write(state, logs or {})

    @_harmless
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
        self._write(state, {name: value for name, value in (metrics or {}).items() if name not in known})
        if self.trainer is not None:
            self._generations.skip(self.trainer)

    @_harmless
    def on_predict(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        """Journals what a prediction measured, which Trainer does not log."""
        if self._own:
            self._write(state, metrics or {})

    @_harmless
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

    @_harmless
    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keeps Trainer from evaluating and saving again when it was stopped in the middle of an epoch."""
        if self._gate is not None and self._gate.stop_requested.is_set() and not _is_whole(state.epoch):
            control.should_evaluate = control.should_save = control.should_log = False

    @_harmless
    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Goes on waiting where the checkpoint was asked for during a pause."""
        if self._gate is not None and self._gate.after_checkpoint(state.global_step):
            control.should_training_stop = True

    @_harmless
    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ends a run of its own."""
        if self._run is not None:
            self._write_completions(state.global_step)
            self._end()

    @_harmless
    def end_by(self, error: BaseException | None) -> None:
        """Ends a run of its own whose `train()` was left.

        Args:
            error: What left it; None where it returned and did not say that training had ended.
        """
        self._end(error)

    def _end(self, error: BaseException | None = None) -> None:
        """Ends a run of its own."""
        if run := self._let_go():
            run.end(error)

    def _let_go(self) -> ExternalRun | None:
        """The run of its own that is live, for whoever ends it; what is logged from now on comes after it."""
        run, self._run = self._run, None
        if run is not None:
            atexit.unregister(self._cut_short)
            self._journal = self._gate = None
            self._ended = [(state_of, folder) for state_of, folder in self._ended if state_of() is not None]
            if self._state is not None:
                self._ended.append((weakref.ref(self._state), run.folder))
        return run

    @_harmless
    def _cut_short(self) -> None:
        """The program ends, or trains anew, and nobody said that training had ended: it raised something."""
        run = self._let_go()
        error = getattr(sys, "last_value", None)
        if run is not None and error is None:
            run.end_unexplained()
        elif run is not None:
            run.end(error)

    def _begin(self, args: TrainingArguments, state: TrainerState) -> None:
        self._cut_short()  # A subclass of Trainer whose own `train` an exception has left.
        self._state = state
        self.folder = None
        settings = {key: value for key, value in args.to_sanitized_dict().items() if isinstance(value, _PLAIN)}
        run = ExternalRun(
            _as_text(self.name), settings, {"device": str(args.device), "output_dir": str(args.output_dir)}
        )
        self._run, self.folder, self._journal, self._gate = run, run.folder, run.journal, run.gate
        atexit.register(self._cut_short)
        before, self._before = self._before, []
        for step, values in before:
            run.journal.metrics(step, values)
        if state.global_step:
            run.journal.event("resume", f"goes on from step {state.global_step} of an earlier training")

    def _tell_once(self, error: Exception) -> None:
        """Logs what went wrong here, each thing once."""
        message = f"{type(error).__name__}: {error_text(error)}"
        if message not in self._told:
            self._told.add(message)
            _log.warning("the training goes on, but its run lacks something: %s", message)

    def _write_completions(self, step: int) -> None:
        """What the model wrote since the last time."""
        if self._journal is None or not self._own or self.trainer is None:
            return
        if completions := self._generations.fresh(self.trainer):
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
        # Of another trainer's training perhaps than the one that runs now.
        ended = next((folder for state_of, folder in self._ended if state_of() is state), None)
        if ended is not None:
            if values:
                with self._reopened(ended) as journal:
                    journal.metrics(step, values)
        elif self._journal is not None:
            self._journal.metrics(step, values)
        elif self._own and values and len(self._before) < MOST_KEPT:
            self._before.append((step, values))
        before = self._logged[1] if self._logged[0] == step else frozenset()
        self._logged = (step, before | values.keys())

    @contextlib.contextmanager
    def _reopened(self, folder: RunFolder) -> Iterator[JournalWriter]:
        """The journal of a run that has ended, for what is logged after training; it stays ended."""
        if not folder.db.is_file():  # It was deleted since.
            raise LooptopError(f"{folder.id} is not there any more")
        with RunLock(folder.lock, folder.id).acquire(heartbeat=False):
            journal = JournalWriter(folder.db)
            try:
                yield journal
            finally:
                journal.close()


def _is_whole(epoch: float | None) -> bool:
    return epoch is not None and epoch == int(epoch)


def _as_text(name: object) -> str:
    """A name as text, of whatever type it is; empty where it is None."""
    if isinstance(name, bytes | os.PathLike):
        return os.fsdecode(name)
    return "" if name is None else str(name)


_PLAIN = (str, int, float, bool)


def _as_number(value: object) -> float | None:
    """A number that was logged; None where it is none, or too large for one."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        return float(value)
    except (OverflowError, ValueError):
        return None


def _wrap_train() -> None:
    """Wraps `Trainer.train`, once: callbacks then know the trainer, and the run ends however training is left."""
    plain = Trainer.train
    if hasattr(plain, "_tells_callbacks"):
        return

    @functools.wraps(plain)
    def train(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        left_by: BaseException | None = None
        callbacks = [each for each in self.callback_handler.callbacks if isinstance(each, JournalCallback)]
        # One callback may be in a trainer that trains inside another's training.
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
