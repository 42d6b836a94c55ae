"""The training arguments that every kind of run has, under the names of `transformers.TrainingArguments`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from looptop.engine.config.types import Natural, NonNegativeFloat, Positive, PositiveFloat, PrecisionChoice, Table


class TrainingConfig(Table, frozen=True, kw_only=True):
    """What Trainer is told, and what the engine adds to it."""

    num_train_epochs: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    max_steps: Annotated[int, Meta(ge=-1, le=10**9)] = -1
    """Optimiser steps in all (of PPO: batches); -1 goes by the epochs."""
    learning_rate: PositiveFloat = 5e-5
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    warmup_steps: NonNegativeFloat = 0
    """Steps of warm-up, or a share of all steps where below 1."""
    weight_decay: NonNegativeFloat = 0.0
    adam_beta2: Annotated[float, Meta(gt=0, lt=1)] = 0.999
    max_grad_norm: NonNegativeFloat = 1.0
    """Gradients are clipped to this norm; 0 leaves them."""
    optim: str = "adamw_torch"
    seed: Natural = 42
    precision: PrecisionChoice = "auto"
    """`auto`: bf16 where the device computes it natively, fp16 on an older CUDA device (not for a T5), else fp32."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""
    processes: Positive = 1
    """Processes that train together, each on a GPU of its own, or with its part of the processor."""
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    """CPU threads of each process, fixed for the whole run; 0: what OMP_NUM_THREADS says, or one for each core."""
    logging_steps: Positive = 10
    """Steps between two reports to `report_to`; the journal holds every step."""
    save_minutes: PositiveFloat = 5.0
    """A checkpoint at least this often, besides the one at each evaluation."""
    early_stopping_patience: Natural = 0
    """Stop after this many evaluations in a row without a better one; 0 never stops early."""
    report_to: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Trainer's reporters, each installed by you."""

    def __post_init__(self) -> None:
        """Checks what a bound cannot say; msgspec names the table."""
        if self.max_steps == 0:
            raise ValueError("training.max_steps is 0: give at least 1, or -1 to go by the epochs")
