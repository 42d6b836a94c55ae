"""The base of looptop's trainers: each step is journalled, and a checkpoint is written completely or not at all.

Trainer brings accelerate, mixed precision, schedules, checkpoints and reporters. Two things in it do not suit a run
that is watched and resumed: its loss is the mean of a window, which restarts on resume, and a checkpoint that a full
disk cut short looks like a complete one.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import IntervalStrategy, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from looptop.engine.compute.device import Device
from looptop.engine.config.training import TrainingConfig
from looptop.engine.errors import error_text
from looptop.engine.runs import checkpoint
from looptop.engine.runs.context import CLOSE_OTHERS, Activity, RunContext, RunStoppedError
from looptop.engine.training.step_journal import StepJournal
from looptop.engine.training.unreached import without_unreached

_log = logging.getLogger("looptop.training")

STEP_METRICS = ("loss", "grad_norm", "learning_rate", "epoch")
"""Metrics that are journalled here for every step; Trainer's own values, means of a window, are left out."""

EVALUATION_DUE = "evaluation-due"
"""A file in a checkpoint whose evaluation had not been made when the run was stopped."""

LOSS_SUM_FILE = "loss_sum.json"
"""The file in a checkpoint that holds the sum of the losses of all steps up to it."""


class RunTrainer(Trainer):
    """A Trainer that belongs to a run. Mix it in before another Trainer, and call `attach_to` in the constructor."""

    replaceable_files: ClassVar[Collection[str]] = ()
    """Names of files in a checkpoint that may be replaced later, for `checkpoint.seal`."""
    context: RunContext
    step_loss: Tensor | float
    step_gradient_norm: Tensor | float | None
    loss_sum: float | None
    """The sum of the losses of all steps; None if the run was resumed from a checkpoint without it."""
    loading_seconds: float
    """How long the current step has waited for its data."""
    best_loaded: int | None = None
    """The step of the best checkpoint, once training has ended and the model is loaded from it."""
    _evaluation_due = False
    _is_warned = False
    """Whether the last checkpoint could not be written, and the events say so."""
    _random_states: Sequence[tuple[str, bytes]] = ()

    def attach_to(self, context: RunContext) -> None:
        """Attaches the trainer to the run's journal, folder and controls."""
        self.context = context
        self.step_loss = 0.0
        self.step_gradient_norm = None
        self.loading_seconds = 0.0
        self.loss_sum = _loss_sum_of(context.resume_from)
        self.callback_handler.callbacks.insert(0, StepJournal(self))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs as Trainer does, but `train_loss` is the mean over all steps, not only over those since a resume."""
        if "train_loss" in logs and self.loss_sum is not None:
            logs = logs | {"train_loss": self.loss_sum / max(self.state.global_step, 1)}
        super().log(logs, start_time)

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Trains for an epoch, unless all steps are made.

        Resumed from a checkpoint of the last step, such as that of a run stopped in its last evaluation, Trainer would
        make one step more before it compares the numbers.
        """
        if self.state.global_step < self.state.max_steps:
            super()._run_epoch(*args, **kwargs)  # type: ignore[no-untyped-call]
        else:
            self.control.should_training_stop = True

    def step_activity(self, step: int) -> Activity:
        """The run's activity while it makes a step, for a message about memory that ran out."""
        return Activity(f"in step {step}", "lower training.per_device_train_batch_size")

    def evaluation_activity(self) -> Activity:
        """The run's activity while it evaluates."""
        step = self.state.global_step
        when = f"after step {step}" if step else "before its first step"
        return Activity(f"while it evaluated {when}", "lower training.per_device_eval_batch_size")

    def pass_in_evaluation(self, done: int, total: int) -> None:
        """Shows how far an evaluation is, takes controls and waits while the run is paused.

        Called between two batches of the evaluation, in all processes.

        Args:
            done: Batches or queries so far.
            total: Their number.

        Raises:
            RunStoppedError: The run must stop.
        """
        step = self.state.global_step
        text = f"evaluating after step {step}" if step else "evaluating before the first step"
        self.context.pass_between_steps(text, done, total)

    def samples_of_a_step(self) -> int:
        """The number of samples in one step, over all processes: a whole batch, or all data if they are fewer."""
        args = self.args
        batch = int(args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size)
        return min(batch, len(self.train_dataset)) if isinstance(self.train_dataset, Sized) else batch

    def work_of_a_step(self) -> tuple[float, str]:
        """What one step trains on, and its unit: what its duration is proportional to."""
        return float(self.samples_of_a_step()), "samples"

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Gets the data of a step as Trainer does, and measures how long the step waits for them."""
        began = time.perf_counter()
        batches = super().get_batch_samples(*args, **kwargs)
        self.loading_seconds += time.perf_counter() - began
        return batches

    def mean_of_processes(self, own: Tensor | float) -> float:
        """The mean of a number over the run's processes; each passes its own."""
        processes = self.context.processes
        if not processes.several:
            return float(own)
        return float(processes.total(torch.as_tensor(own, device=self.args.device).float().clone())) / processes.count

    def step_values(self) -> Mapping[str, float]:
        """Further metrics of the step that has just ended, by name."""
        return {}

    def save_more(self, folder: Path) -> None:
        """Adds files to a checkpoint's folder that Trainer does not write."""

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """One forward and backward pass; also adds its loss to the step's own loss."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.step_loss = self.step_loss + loss
        return loss

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        # Trainer would look for gradients in the frozen parameters too, at every step.
        optimizer: Any = self.optimizer
        trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        return self.accelerator.clip_grad_norm_(trained, self.args.max_grad_norm)

    def _get_grad_norm(self, model: nn.Module, grad_norm: float | None = None) -> Any:
        self.step_gradient_norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[no-untyped-call]
        return self.step_gradient_norm

    def create_optimizer(self, model: nn.Module | None = None) -> Any:
        """Creates the optimiser; it also loads older checkpoints, which hold moments of unreached parameters."""
        new = self.optimizer is None
        optimizer = super().create_optimizer() if model is None else super().create_optimizer(model)
        if new and getattr(self.model, "unreached", None):
            optimizer.register_load_state_dict_pre_hook(lambda _, state: self._without_unreached(state))
        return optimizer

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Loads both, and sets the learning rate that this run's configuration gives the next step.

        A checkpoint also holds the learning rate that it was made with, and the one of its next step. Both are other
        ones if the run is prolonged, since the schedule then has another length, or if its learning rate was changed.
        """
        super()._load_optimizer_and_scheduler(checkpoint)
        scheduler: Any = getattr(self.lr_scheduler, "scheduler", self.lr_scheduler)
        optimizer: Any = self.optimizer
        if checkpoint is None or not isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR):
            return
        scheduler.base_lrs = [self.args.learning_rate] * len(scheduler.base_lrs)
        for group, rate, share in zip(optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True):
            group["initial_lr"] = rate
            group["lr"] = rate * share(scheduler.last_epoch)
        scheduler._last_lr = [group["lr"] for group in optimizer.param_groups]

    def _without_unreached(self, state: dict[str, Any]) -> dict[str, Any]:
        model: Any = self.model
        trained = [n for n, p in model.named_parameters() if p.requires_grad or n in model.unreached]
        decayed = set(self.get_decay_parameter_names(model))
        groups = [[n for n in trained if n in decayed], [n for n in trained if n not in decayed]]
        return without_unreached(model, groups, state)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: Trainer's estimate is for a single input of token ids, and these models have several."""
        return 0

    def store_flos(self) -> None:
        """Does nothing, since they are not counted; in Trainer's method all processes wait for each other."""

    @property
    def result_step(self) -> int:
        """The step whose weights the model has when training has ended."""
        return self.state.global_step if self.best_loaded is None else self.best_loaded

    def result_figures(self, *names: str) -> dict[str, float]:
        """The metrics of the evaluation of `result_step`, by name; it may have been made before a resume."""
        logs = [entry for entry in self.state.log_history if entry.get("step") == self.result_step]
        return {
            name: next((float(entry[f"eval_{name}"]) for entry in reversed(logs) if f"eval_{name}" in entry), math.nan)
            for name in names
        }

    def _maybe_log_save_evaluate(
        self, tr_loss: Any, grad_norm: Any, model: nn.Module, trial: Any, *rest: Any, **kw: Any
    ) -> None:
        try:
            super()._maybe_log_save_evaluate(tr_loss, grad_norm, model, trial, *rest, **kw)
        except RunStoppedError:
            # The step is made, but not its evaluation. A run that is resumed from its checkpoint evaluates first.
            self._evaluation_due = True
            self.control.should_evaluate = self.control.should_save = False
            self.control.should_training_stop = True
            if self.context.processes.decide(lambda: self.context.gate.saves_before_it_stops):
                self._save_checkpoint(model, trial)
                self.control = self.callback_handler.on_save(self.args, self.state, self.control)

    def _evaluate(self, trial: Any, ignore_keys_for_eval: Any, skip_scheduler: bool = False) -> dict[str, float]:
        with self.context.during(self.evaluation_activity()):
            metrics = super()._evaluate(trial, ignore_keys_for_eval, skip_scheduler)
        if skip_scheduler and self.state.global_step and self._determine_best_metric(metrics, trial):
            # This evaluation was due before the resume; it counts as if it had been made with the checkpoint.
            self.state.best_model_checkpoint = str(self.context.resume_from)
        return metrics

    def _load_best_model(self) -> None:
        """Loads the best checkpoint if it is complete; otherwise keeps the last step's model and journals that."""
        best = Path(str(self.state.best_model_checkpoint))
        if checkpoint.is_complete(best, reads=True):
            with self.context.during(Activity(f"while it loaded {best.name}", CLOSE_OTHERS)):
                super()._load_best_model()
            self.best_loaded = checkpoint.step_of(best)
        else:
            self.context.journal.event(
                "checkpoint",
                f"the best checkpoint, {best.name}, is no longer complete: the result is that of step"
                f" {self.state.global_step}",
                level="warning",
            )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Writes a complete checkpoint or none: journal first, then the files, then the manifest that makes it valid.

        A full disk costs this checkpoint, not the run: it is journalled, and training continues with the earlier
        checkpoints. But if the run is stopping with this checkpoint, everything learned since the last one would be
        lost. So the run is held until there is room, or until it is stopped once more.
        """
        step, processes = self.state.global_step, self.context.processes
        folder = self.context.folder.checkpoints / f"checkpoint-{step}"
        # Writing the checkpoint of this step again could only lose it, if the disk has become full.
        if not step or processes.decide(lambda: checkpoint.is_complete(folder)):
            return
        if processes.several:
            self._random_states = processes.gather(self._random_state())
        if processes.is_first:
            self._save_or_report(model, trial, folder)
            processes.decide(lambda: False)
        else:
            while processes.decide(lambda: True):
                torch.distributed.barrier()
        self.state.best_model_checkpoint = processes.decide(lambda: self.state.best_model_checkpoint)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Saves as Trainer does. In a checkpoint, the first process then calls the others to Trainer's next barrier.

        Only the first process writes and knows whether the weights were saved, so the others would not come by
        themselves.
        """
        super().save_model(output_dir, _internal_call)
        if _internal_call and self.context.processes.several and self.state.best_global_step:
            self.context.processes.decide(lambda: True)

    def _save_or_report(self, model: nn.Module, trial: Any, folder: Path) -> None:
        step = self.state.global_step
        while (error := self._try_to_save(model, trial, folder)) is not None:
            failed = f"{error_text(error)}: the checkpoint of step {step} could not be written"
            if not self.context.gate.saves_before_it_stops:
                if self._is_warned:
                    self.context.log(failed)
                else:
                    text = "training continues, make room on the disk; until then, only the log names further ones"
                    self.context.journal.event("checkpoint", f"{failed}; {text}", step=step, level="warning")
                self._is_warned = True
                return
            if not self.context.hold_for_retry(failed, error):
                return
        self._is_warned = False
        self.context.journal.event("checkpoint", f"checkpoint of step {step} written", step=step)
        best = self.state.best_model_checkpoint
        checkpoint.rotate(folder.parent, best=checkpoint.step_of(Path(best)) if best else None)

    def _try_to_save(self, model: nn.Module, trial: Any, folder: Path) -> Exception | None:
        """Writes a complete checkpoint, or removes it again and returns the error."""
        best_before = self.state.best_model_checkpoint
        try:
            checkpoint.ensure_space(folder.parent, self.checkpoint_bytes())
            self.context.journal.flush()
            checkpoint.begin(folder, self.context.journal)
            super()._save_checkpoint(model, trial)
            for name, state in self._random_states:
                (folder / name).write_bytes(state)
            if self.loss_sum is not None:
                (folder / LOSS_SUM_FILE).write_text(json.dumps(self.loss_sum), "utf-8")
            self.save_more(folder)
            if self._evaluation_due:
                (folder / EVALUATION_DUE).touch()
            checkpoint.seal(folder, self.replaceable_files)
        except Exception as error:
            # A full disk raises an OSError, a RuntimeError from torch.save, or safetensors' own error, an Exception.
            shutil.rmtree(folder, ignore_errors=True)
            self.state.best_model_checkpoint = best_before
            _log.exception("%s could not be written", folder.name)
            return error
        return None

    def _random_state(self) -> tuple[str, bytes]:
        """The name and content of the checkpoint file with this process's random state."""
        with tempfile.TemporaryDirectory() as folder:
            self._save_rng_state(folder)
            (file,) = Path(folder).iterdir()
            return file.name, file.read_bytes()

    def checkpoint_bytes(self) -> int:
        """The size of a checkpoint: all weights, and for each trained one two more numbers (Adam)."""
        parameters: list[nn.Parameter] = list(self.accelerator.unwrap_model(self.model).parameters())
        weights = sum(p.numel() * p.element_size() for p in parameters)
        trained = sum(p.numel() * p.element_size() for p in parameters if p.requires_grad)
        return weights + 2 * trained


def _loss_sum_of(folder: Path | None) -> float | None:
    """The sum of the losses of all steps up to a checkpoint; None if the checkpoint does not hold it."""
    if folder is None:
        return 0.0
    try:
        return float(json.loads((folder / LOSS_SUM_FILE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


class EvaluateAtTheEnd(TrainerCallback):
    """Evaluates after the last step, whatever the interval, so that the curve ends where training ends."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        """Asks for an evaluation after the last step."""
        # With the strategy `epoch`, Trainer evaluates at the end of an unfinished epoch too.
        if state.global_step >= state.max_steps and args.eval_strategy == IntervalStrategy.STEPS:
            control.should_evaluate = True


def starts_with_evaluation(context: RunContext) -> bool:
    """Whether training begins with an evaluation: figure 7.8's first point, or one that a stop prevented."""
    return context.resume_from is None or (context.resume_from / EVALUATION_DUE).exists()


def trainer_arguments(chosen: TrainingConfig, output_dir: Path, device: Device) -> dict[str, Any]:
    """The arguments of Trainer that every kind of run shares: the chosen settings, and fixed values."""
    return {
        "output_dir": str(output_dir),
        "num_train_epochs": chosen.num_train_epochs,
        "max_steps": chosen.max_steps,
        "learning_rate": chosen.learning_rate,
        "lr_scheduler_type": chosen.lr_scheduler_type,
        "warmup_steps": chosen.warmup_steps,
        "weight_decay": chosen.weight_decay,
        "adam_beta2": chosen.adam_beta2,
        "max_grad_norm": chosen.max_grad_norm,
        "optim": chosen.optim,
        "seed": chosen.seed,
        "use_cpu": device.torch_device == "cpu",
        "bf16": device.precision == "bf16",
        "fp16": device.precision == "fp16",
        # Old checkpoints are deleted elsewhere: Trainer would count broken ones and delete complete ones instead.
        "save_total_limit": None,
        "load_best_model_at_end": True,
        "logging_strategy": "steps" if chosen.report_to else "no",
        "logging_steps": chosen.logging_steps,
        "logging_nan_inf_filter": False,
        "report_to": list(chosen.report_to) or "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        # Every trained parameter is used in every loss; Trainer would search for unused ones at every step.
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": device.torch_device.startswith("cuda"),
    }
