"""Estimates a run's data before it starts: questions and images, what will be left out, the number of steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from looptop.engine.config import RunConfig
from looptop.engine.config.ppo import PpoRunConfig
from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.estimates.records import SplitSize, StepCount
from looptop.engine.startup.preflight import refuse_unusable_data
from looptop.engine.startup.sources import with_absolute_paths
from looptop.engine.startup.table_peek import count_rows
from looptop.engine.vqa.data.counts import DataCounts, count_data


@dataclass(frozen=True)
class DataEstimate:
    """What is known of a run's data.

    Attributes:
        splits: The size of each split; none if it is not known before the run.
        left_out: Kinds of rows and images that cannot be used, each with the number and the first names.
        counts: The counts of a VQA run.
    """

    splits: tuple[SplitSize, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    counts: DataCounts | None = None


def estimate_data(config: RunConfig) -> DataEstimate:
    """Reads and counts a run's data.

    Raises:
        SettingError: It cannot be used; names the setting.
        LooptopError: It has no usable row.
    """
    config = with_absolute_paths(config)
    refuse_unusable_data(config)
    if isinstance(config, VqaRunConfig):
        counts = count_data(config.data, config.training.seed)
        sizes = tuple(SplitSize(each.name, each.questions, each.images) for each in counts.splits)
        return DataEstimate(sizes, counts.left_out, counts)
    if isinstance(config, PpoRunConfig):
        texts = count_rows(config.data.source)
        if texts is None:
            return DataEstimate()
        limit = config.data.max_queries
        texts = texts if limit is None else min(texts, limit)
        held_out = min(config.data.held_out, texts)
        return DataEstimate((SplitSize("train", texts - held_out), SplitSize("held out", held_out)))
    return DataEstimate()


def count_steps(config: RunConfig, data: DataEstimate) -> StepCount | None:
    """How many steps the run makes; None if its data's size is not known."""
    training: Any = config.training
    train = next((split.rows for split in data.splits if split.name == "train"), 0)
    if isinstance(config, PpoRunConfig):
        samples = config.ppo.samples
        per_epoch = train // samples if train else 0
    else:
        # As Trainer counts: the processes' batches of an epoch, the last one smaller, in steps of several.
        batch = training.per_device_train_batch_size * training.processes
        samples = batch * training.gradient_accumulation_steps
        per_epoch = math.ceil(math.ceil(train / batch) / training.gradient_accumulation_steps) if train else 0
    if training.max_steps > 0:
        return StepCount(training.max_steps, per_epoch, min(samples, train) if train else samples)
    if not per_epoch:
        return None
    return StepCount(math.ceil(training.num_train_epochs * per_epoch), per_epoch, min(samples, train))
