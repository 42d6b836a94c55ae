"""The splits of a run's data as batches of questions, with the features of frozen encoders if they fit into memory."""

from __future__ import annotations

import time
from typing import Any

import psutil
from torch import Tensor

from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.runs.context import CLOSE_OTHERS, Activity, RunContext
from looptop.engine.text import counted
from looptop.engine.vqa.batches import Questions, keep_image_features
from looptop.engine.vqa.data.left_out import ProblemReporter
from looptop.engine.vqa.data.load import VqaData
from looptop.engine.vqa.model.configuration import frozen_parts
from looptop.engine.vqa.model.processing import VqaProcessor
from looptop.engine.vqa.model.vqa_model import VqaModel


def question_splits(
    context: RunContext,
    config: VqaRunConfig,
    splits: VqaData,
    model: VqaModel,
    processor: VqaProcessor,
    problem_reporter: ProblemReporter,
) -> tuple[Questions, Questions, Questions | None]:
    """The training, validation and test split as a model takes them; the last is None if the data has none.

    What is left out, and which features are kept, is journalled.
    """
    frozen = frozen_parts(config.model.freeze)
    keep = config.training.keep_features
    tables = [splits.train, splits.validation, *([splits.test] if splits.test is not None else [])]
    features: dict[str, Tensor] | None = None
    model.train(False)
    if keep and "image_encoder" in frozen:
        paths = list(dict.fromkeys(path for table in tables for path in table["image"][:]))
        features = _features_that_fit(context, model, processor, paths, problem_reporter)
    text_model = model if keep and "text_encoder" in frozen else None
    activity = Activity("while it prepared the questions", CLOSE_OTHERS) if text_model is None else _keeping("text")
    try:
        with context.during(activity):
            prepared = [
                Questions(
                    table,
                    processor,
                    problem_reporter,
                    features,
                    text_model,
                    fits=lambda wanted, count: _fits(context, wanted, counted(count, "question")),
                    stand_ins=table is splits.train,
                    on_progress=context.pass_before_steps,
                )
                for table in tables
            ]
    finally:
        problem_reporter.report()
    return prepared[0], prepared[1], prepared[2] if len(prepared) > 2 else None


def _keeping(encoder: str) -> Activity:
    return Activity(f"while it kept the frozen {encoder} encoder's features", "set training.keep_features = false")


def _fits(context: RunContext, wanted: int, content: str) -> bool:
    """Whether an encoder's features fit into a quarter of the free memory; journals it if they do not."""
    processes = context.processes
    available = processes.decide(lambda: psutil.virtual_memory().available // 4 // processes.count)
    if wanted <= available:
        return True
    context.journal.event(
        "features",
        f"features of {content} would take {wanted / 2**30:.1f} GiB and are not kept;"
        f" a quarter of the free memory is {available / 2**30:.1f} GiB",
    )
    return False


def _features_that_fit(
    context: RunContext, model: VqaModel, processor: VqaProcessor, paths: list[str], problem_reporter: ProblemReporter
) -> dict[str, Tensor] | None:
    vision: Any = model.image_encoder.config
    patches = (vision.image_size // vision.patch_size) ** 2
    states = 1 if model.config.fusion == "mean" else 1 + patches
    wanted = len(paths) * states * vision.hidden_size * 4
    if not _fits(context, wanted, counted(len(paths), "image")):
        return None
    began = time.perf_counter()
    with context.during(_keeping("image")):
        features = keep_image_features(model, processor, paths, problem_reporter, context.pass_before_steps)
    context.journal.event(
        "features",
        f"kept the frozen image encoder's features of {counted(len(features), 'image')}:"
        f" {wanted / 2**20:.1f} MiB, {time.perf_counter() - began:.1f} s",
    )
    return features
