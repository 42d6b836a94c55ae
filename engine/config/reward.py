"""The configuration of a run that trains a reward model from preferences, with TRL's `RewardTrainer`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from looptop.engine.config.training import TrainingConfig
from looptop.engine.config.types import Positive, PositiveFloat, Table


class ClassifierConfig(Table, frozen=True, kw_only=True):
    """The model that becomes a reward model."""

    classifier: str
    """Hub name, local folder or `bundled:PART` of an encoder or a classifier; it gets a new head with one label."""
    reads: Literal["response", "both"] = "both"
    """What it reads: the response, or the query and the response."""


class PreferenceConfig(Table, frozen=True, kw_only=True):
    """Where preferences come from."""

    source: Annotated[str, Meta(examples=["newsroom"])]
    """`newsroom` or `newsroom:SEED`; a PPO run's id (for the ratings given there); a data set's name on the hub; or a
    local CSV, JSONL or Parquet file. A file holds pairs (`chosen`, `rejected`, optionally `query`) or ratings (`query`,
    `response`, `rating`), from which pairs are made within each query."""
    split: str = "train"
    """The split of a data set on the hub."""
    max_pairs: Positive | None = None
    """Train on at most this many pairs."""
    max_tokens: Positive = 512
    """Longer texts are cut off at the end."""
    validation_fraction: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    """Fraction of the queries held out for validation; no query is in both splits."""


class RewardTrainingConfig(TrainingConfig, frozen=True, kw_only=True):
    """The training arguments of a reward run."""

    per_device_train_batch_size: Positive = 16
    """Pairs in one forward and backward pass of each process."""
    per_device_eval_batch_size: Positive = 32
    """Pairs in one pass of an evaluation."""
    gradient_accumulation_steps: Positive = 1
    """Batches whose gradients make one step of the optimiser."""
    learning_rate: PositiveFloat = 1e-4
    eval_strategy: Literal["steps", "epoch"] = "epoch"
    """When to evaluate: after each epoch, or every `eval_steps` steps."""
    eval_steps: Positive = 500
    """Steps between two evaluations, if `eval_strategy` is `steps`."""
    metric_for_best_model: Literal["loss", "accuracy"] = "accuracy"
    """Which figure of validation chooses the checkpoint that becomes the result."""


class RewardRunConfig(Table, frozen=True, kw_only=True):
    """The whole configuration of a reward run."""

    kind: Literal["reward"] = "reward"
    preset: str
    model: ClassifierConfig
    data: PreferenceConfig
    training: RewardTrainingConfig
