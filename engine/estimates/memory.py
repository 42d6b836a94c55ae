"""Estimates the memory of a run before it starts; imports torch.

Weights, gradients and Adam's two moments follow from the numbers of parameters; activations are counted by
`models.step_memory`. On a CPU the program itself and kept features take the same memory.
"""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path
from typing import Any

import psutil
import torch

from looptop.engine.compute.device import Device, pick
from looptop.engine.config import RunConfig
from looptop.engine.config.ppo import PpoRunConfig, QueryConfig
from looptop.engine.config.vqa import VqaRunConfig
from looptop.engine.errors import LooptopError
from looptop.engine.estimates.records import MemoryEstimate
from looptop.engine.machine.free_memory import free_bytes
from looptop.engine.models.memory import BYTES_PER_NUMBER, MOMENTS_PER_WEIGHT, ModelSize
from looptop.engine.models.step_memory import StepMemory
from looptop.engine.paths import path_of
from looptop.engine.ppo import data
from looptop.engine.ppo.loading import load_tokenizer
from looptop.engine.ppo.model_sizes import ppo_sizes
from looptop.engine.ppo.step_memory import batch_shape, ppo_step_memory
from looptop.engine.vqa.data.counts import DataCounts
from looptop.engine.vqa.model.configuration import frozen_parts
from looptop.engine.vqa.model.processing import VqaProcessor, resolve
from looptop.engine.vqa.model.saved_models import folder_of
from looptop.engine.vqa.model.sizes import build_from_configuration, vqa_sizes
from looptop.engine.vqa.model.step_memory import BatchShape, patch_count, vqa_step_memory
from looptop.engine.vqa.model.vqa_model import VqaModel

USUAL_TOKENS = 16, 3
"""Tokens of the longest question and answer of a batch, if the data does not tell."""


QUERIES_COUNTED = 500
"""So many queries of a PPO run are tokenised to learn how long they are."""


def estimate_memory(config: RunConfig, counts: DataCounts | None, program: int) -> MemoryEstimate:
    """The memory of one of the run's processes.

    Args:
        config: The run's configuration; its models' own configurations are on this machine.
        counts: The counts of a VQA run's data, if they are known.
        program: Bytes of a process that has loaded what a run loads, and no model.

    Raises:
        Exception: A model cannot be counted.
    """
    training: Any = config.training
    device = pick(training.device, training.precision, threads=1)
    on_cpu = device.torch_device == "cpu"
    features = 0
    if isinstance(config, VqaRunConfig):
        sizes = vqa_sizes(config.model)
        shape, features = _vqa_batch(config, counts)
        accumulates = training.gradient_accumulation_steps > 1
        step = vqa_step_memory(config.model, shape, accumulates=accumulates, precision=device.precision, on_cpu=on_cpu)
    elif isinstance(config, PpoRunConfig):
        sizes = ppo_sizes(config)
        of_batch = batch_shape(config, longest_query(config.data, config.model.policy, training.seed))
        step = ppo_step_memory(config, of_batch, precision=device.precision, on_cpu=on_cpu)
        if config.model.lora_rank:
            adapters = step.gradients // BYTES_PER_NUMBER
            sizes.append(ModelSize("the adapters", adapters, trained=adapters))
    else:
        raise NotImplementedError(config.kind)
    return _summed(sizes, step, device, training.optim, features, program)


def _summed(
    sizes: list[ModelSize], step: StepMemory, device: Device, optimizer: str, features: int, program: int
) -> MemoryEstimate:
    parameters, trained = sum(each.parameters for each in sizes), sum(each.trained for each in sizes)
    weights, gradients = BYTES_PER_NUMBER * parameters, BYTES_PER_NUMBER * trained
    moments = MOMENTS_PER_WEIGHT.get(optimizer, 0) * gradients
    # torch's unfused optimisers compute with copies on a GPU: of all weights at once.
    copies = gradients if device.torch_device != "cpu" and "fused" not in optimizer else 0
    on_device = weights + moments + max(step.peak - step.weights, gradients + copies)
    on_cpu = device.torch_device == "cpu"
    return MemoryEstimate(
        device=device.torch_device,
        precision=device.precision,
        parameters=parameters,
        trainable=trained,
        weights=weights,
        gradients=gradients,
        optimizer=moments,
        activations=step.activations,
        features=features,
        program=program,
        peak=on_device + (features + program if on_cpu else 0),
        free=free_bytes(device.torch_device),
    )


def _vqa_batch(config: VqaRunConfig, counts: DataCounts | None) -> tuple[BatchShape, int]:
    """The shape of a batch, and the bytes of kept features."""
    rows = config.training.per_device_train_batch_size
    questions, answers = USUAL_TOKENS
    distinct = 0
    if counts is not None and counts.questions:
        train = counts.of("train")
        rows = min(rows, train.questions) if train is not None else rows
        processor = _processor(config)
        spread = slice(None, None, max(1, len(counts.questions) // max(rows, 1)))
        questions = max(len(ids) for ids in processor.question_ids(list(counts.questions[spread])))
        answers = max(len(ids) for ids in processor.answer_ids(list(counts.answers[spread])))
        distinct = counts.distinct_questions
    frozen = frozen_parts(config.model.freeze) if config.training.keep_features else frozenset()
    model = _meta(config)
    vision, mean = model.image_encoder.config, config.model.fusion == "mean"
    image_bytes = text_bytes = 0
    if "image_encoder" in frozen and counts is not None:
        image_bytes = (
            counts.images * (1 if mean else 1 + patch_count(vision)) * int(vision.hidden_size) * BYTES_PER_NUMBER
        )
    if "text_encoder" in frozen:
        text_bytes = distinct * (1 if mean else questions) * int(model.text_encoder.config.hidden_size)
        text_bytes *= BYTES_PER_NUMBER
    # As the run decides: features are kept if they fit into a quarter of the free memory.
    room = psutil.virtual_memory().available // 4
    image, text = 0 < image_bytes <= room, 0 < text_bytes <= room
    shape = BatchShape(rows, questions, answers, image_features_cached=image, text_features_cached=text)
    return shape, (image_bytes if image else 0) + (text_bytes if text else 0)


def longest_query(source: QueryConfig, policy: str, seed: int) -> int | None:
    """Tokens of the longest of some queries, spread evenly over the data; None if they cannot be read here.

    Read again only if the data's files have changed.
    """
    return _longest_query(source, policy, seed, _stamps(path_of(source.source)))


def _stamps(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of a file, or of each file in a folder; empty if there is none."""
    stamps = []
    with contextlib.suppress(OSError):
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            facts = file.stat()
            stamps.append((file.name, facts.st_mtime_ns, facts.st_size))
    return tuple(stamps)


@functools.lru_cache(maxsize=4)
def _longest_query(source: QueryConfig, policy: str, seed: int, _files: tuple[tuple[str, int, int], ...]) -> int | None:
    try:
        queries = data.load(source, load_tokenizer(policy), source.max_query_tokens, seed).train
    except LooptopError:
        return None
    return max(len(queries[row].ids) for row in range(0, len(queries), max(1, len(queries) // QUERIES_COUNTED)))


def _meta(config: VqaRunConfig) -> VqaModel:
    with torch.device("meta"):
        return build_from_configuration(config.model)


def _processor(config: VqaRunConfig) -> VqaProcessor:
    names = config.model
    if names.start_from:
        return VqaProcessor.from_pretrained(folder_of(names.start_from))
    return VqaProcessor.from_parts(
        *(resolve(name) for name in (names.text_encoder, names.image_encoder, names.decoder))
    )
