"""The configuration of a run that trains a reward model from preferences, with TRL's `RewardTrainer`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from looptop.engine.config.training import TrainingConfig
from looptop.engine.config.types import Positive, PositiveFloat, Table


class ClassifierConfig(Table, frozen=True, kw_only=True):
    """The model that becomes a reward model."""

    classifier: str
    """Hub name, local folder or `bundled:PART` of an encoder or a classifier; its head is made anew, with one label."""
    reads: Literal["response", "both"] = "both"
    """What it is given: the response, or the query and the response."""


class PreferenceConfig(Table, frozen=True, kw_only=True):
    """Where preferences come from."""

    source: str
    """`newsroom` or `newsroom:SEED`; a PPO run's id (what a person rated there); a data set's name on the hub; or a
    local CSV, JSONL or Parquet file, of pairs (`chosen`, `rejected` and, if it has one, `query`) or of ratings
    (`query`, `response`, `rating`), which are made into pairs within each query."""
    split: str = "train"
    """Of a data set on the hub."""
    max_pairs: Positive | None = None
    """So many pairs to train on at most."""
    max_tokens: Positive = 512
    """Longer texts are cut at their end."""
    validation_fraction: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    """Share of the queries held out; a query is on one side only."""


class RewardTrainingConfig(TrainingConfig, frozen=True, kw_only=True):
    """The training arguments of a reward run."""

    per_device_train_batch_size: Positive = 16
    per_device_eval_batch_size: Positive = 32
    gradient_accumulation_steps: Positive = 1
    learning_rate: PositiveFloat = 1e-4
    eval_strategy: Literal["steps", "epoch"] = "epoch"
    eval_steps: Positive = 500
    metric_for_best_model: Literal["loss", "accuracy"] = "accuracy"


class RewardRunConfig(Table, frozen=True, kw_only=True):
    """All of a run that trains a reward model."""

    kind: Literal["reward"] = "reward"
    preset: str
    model: ClassifierConfig
    data: PreferenceConfig
    training: RewardTrainingConfig
