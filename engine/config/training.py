"""The training arguments that all kinds of runs share, with the names of `transformers.TrainingArguments`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from looptop.engine.config.types import (
    DeviceName,
    Natural,
    NonNegativeFloat,
    Optimizer,
    Positive,
    PositiveFloat,
    PrecisionChoice,
    Table,
)


class TrainingConfig(Table, frozen=True, kw_only=True):
    """The arguments of Trainer that can be set, and those that the engine adds."""

    num_train_epochs: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    """How often all of the training data is seen."""
    max_steps: Annotated[int, Meta(ge=-1, le=10**9)] = -1
    """Optimiser steps in total (PPO: batches); -1 to go by the epochs."""
    learning_rate: PositiveFloat = 5e-5
    """The optimiser's largest learning rate, reached after the warm-up."""
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    """How the learning rate changes after the warm-up: to zero in a line or a cosine, or not at all."""
    warmup_steps: NonNegativeFloat = 0
    """Steps of warm-up; if below 1, a fraction of all steps."""
    weight_decay: NonNegativeFloat = 0.0
    """How strongly the optimiser pulls weights to zero at each step; biases and norms are left out."""
    adam_beta2: Annotated[float, Meta(gt=0, lt=1)] = 0.999
    """How slowly Adam's mean of squared gradients changes."""
    max_grad_norm: NonNegativeFloat = 1.0
    """Gradients are clipped to this norm; 0 for no clipping."""
    optim: Optimizer = "adamw_torch"
    """The optimiser, by its name in transformers."""
    seed: Natural = 42
    """Fixes the order of the data, the validation split, dropout and new weights."""
    precision: PrecisionChoice = "auto"
    """`auto`: bf16 if the device computes it natively, fp16 on an older CUDA device (but not for T5), else fp32."""
    device: DeviceName = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    processes: Positive = 1
    """Processes that train together, each on a GPU of its own or with its share of the CPU cores."""
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    """CPU threads of each process, fixed for the whole run; 0 for OMP_NUM_THREADS or, without it, one for each core."""
    logging_steps: Positive = 10
    """Steps between two reports to `report_to`; the journal records every step."""
    save_minutes: PositiveFloat = 5.0
    """Minutes between two checkpoints, at most; each evaluation makes one, too."""
    early_stopping_patience: Natural = 0
    """Stop after this many evaluations in a row without improvement; 0 to never stop early."""
    on_alert: Literal["continue", "notify", "pause", "stop"] = "notify"
    """What an alert does: `notify` starts the notify command, if there is one; `pause` and `stop` (with a checkpoint)
    do so, too; `continue` only shows it."""
    report_to: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Trainer's reporters; you install their packages yourself."""

    def __post_init__(self) -> None:
        """Checks what a range cannot express; msgspec adds the table to the message."""
        if self.max_steps == 0:
            raise ValueError("training.max_steps is 0: give at least 1, or -1 to go by the epochs")
