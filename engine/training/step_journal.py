"""Journals each optimiser step of a `RunTrainer`: its loss and speed, and how long training will still take."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from looptop.engine.machine.free_memory import gpu_peak
from looptop.engine.runs.alerts.records import Resources, Timing

if TYPE_CHECKING:
    from looptop.engine.training.trainer import RunTrainer

MEAN_WEIGHT = 0.02
"""The weight of the latest step in the running mean of a step's time."""
RESOURCE_SECONDS = 10.0
"""Seconds between two checks of the disk and the GPU's memory."""


class StepJournal(TrainerCallback):
    """Journals each optimiser step: loss, gradient norm, learning rate, throughput, time left."""

    def __init__(self, trainer: RunTrainer) -> None:
        self.trainer = trainer
        self.learning_rate = 0.0
        self.since = 0.0
        self.cpu_since = 0.0
        """The process's CPU time when the step began."""
        self.steps = 0
        self.seconds = 0.0
        self.evaluated = 0
        """Batches of the current evaluation so far."""
        self.next_check = 0.0
        """When to check the disk and the GPU's memory again."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        """Starts the clock, which stops while the run is paused."""
        self.since = self.trainer.context.running_seconds()
        self.cpu_since = time.process_time()
        self.trainer.loading_seconds = 0.0
        self.trainer.context.progress.end()
        # Set here, because Trainer reads a step's samples before it calls `on_step_begin`.
        self.trainer.context.activity = self.trainer.step_activity(state.global_step + 1)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        """Restarts the clock, since evaluations and checkpoints do not count as training."""
        self.evaluated = 0
        self.on_train_begin(args, state, control)

    on_save = on_evaluate

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any
    ) -> None:
        """Shows how far an evaluation is, waits while the run is paused, and raises an error if it must stop."""
        self.evaluated += 1
        loader = kw.get("eval_dataloader")
        batches = len(loader) if loader is not None else 0
        self.trainer.pass_in_evaluation(self.evaluated, batches)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any
    ) -> None:
        """Keeps the learning rate of this step; the scheduler changes it before the step ends."""
        self.learning_rate = self.trainer._get_learning_rate()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        """Journals the step."""
        trainer = self.trainer
        now = trainer.context.running_seconds()
        took, self.since = now - self.since, now
        self.steps += 1
        # First a plain mean, then an exponential one, so that the time left follows a machine that slows down.
        self.seconds += (took - self.seconds) * max(1 / self.steps, MEAN_WEIGHT)
        values = {
            "loss": trainer.mean_of_processes(trainer.step_loss),
            "learning_rate": self.learning_rate,
            "epoch": state.epoch or 0.0,
            "samples_per_second": trainer.samples_of_a_step() / self.seconds,
            "seconds_left": self.seconds * (state.max_steps - state.global_step),
        }
        if trainer.step_gradient_norm is not None:
            values["grad_norm"] = float(trainer.step_gradient_norm)
        trainer.context.journal.metrics(state.global_step, values | dict(trainer.step_values()))
        trainer.step_loss = 0.0
        if trainer.loss_sum is not None:
            trainer.loss_sum += values["loss"]
        cpu = time.process_time()
        cpu_took, self.cpu_since = cpu - self.cpu_since, cpu
        self._judge(state.global_step, took, cpu_took, now)
        trainer.context.activity = trainer.step_activity(state.global_step + 1)

    def _judge(self, step: int, took: float, cpu_took: float, now: float) -> None:
        """Has the run's speed and what is left of the machine judged."""
        trainer = self.trainer
        loading, trainer.loading_seconds = trainer.loading_seconds, 0.0
        alerts = trainer.context.alerts
        if alerts is None:
            return
        work, unit = trainer.work_of_a_step()
        cpu_seconds = cpu_took if trainer.context.torch_device == "cpu" else 0.0
        alerts.on_timing(Timing(step, took, loading, work, unit, cpu_seconds))
        if now >= self.next_check:
            self.next_check = now + RESOURCE_SECONDS
            alerts.on_resources(_resources(trainer))


def _resources(trainer: RunTrainer) -> Resources:
    used, total = gpu_peak(trainer.context.torch_device)
    return Resources(
        step=trainer.state.global_step,
        disk_free=shutil.disk_usage(trainer.context.folder.path).free,
        checkpoint_bytes=trainer.checkpoint_bytes(),
        gpu_used=used,
        gpu_total=total,
    )
