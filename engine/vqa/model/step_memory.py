"""The memory of a VQA run's training step before the run starts: builds what `engine.models.step_memory` counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.initialization import no_init_weights

from looptop.engine.config.vqa import ModelConfig
from looptop.engine.models.step_memory import StepMemory, step_memory
from looptop.engine.vqa.model.fast_gpt2 import use_fast_kernels
from looptop.engine.vqa.model.sizes import build_from_configuration


@dataclass(frozen=True)
class BatchShape:
    """The shape of a batch.

    Attributes:
        rows: Its questions.
        question_tokens: Tokens of its longest question.
        answer_tokens: Tokens of its longest answer, without the begin token.
        image_features_cached: The batch holds the image encoder's cached features instead of pixels.
        text_features_cached: The batch holds the text encoder's cached features instead of tokens.
    """

    rows: int
    question_tokens: int
    answer_tokens: int
    image_features_cached: bool = False
    text_features_cached: bool = False


def vqa_step_memory(
    config: ModelConfig, shape: BatchShape, *, accumulates: bool, precision: str, on_cpu: bool
) -> StepMemory:
    """The memory of a training step, in bytes.

    The model is built and run with tensors that have shapes but no values.

    Args:
        config: The model section of the run's configuration; its parts' configurations are on this machine.
        shape: The shape of a batch.
        accumulates: Whether a step has several batches.
        precision: `fp32`, `bf16` or `fp16`.
        on_cpu: Whether it computes on a CPU, where a GPT-2 may use looptop's kernels.

    Raises:
        Exception: The model cannot be built from its configuration, or its code reads the values of tensors.
    """

    def build() -> tuple[nn.Module, Callable[[], Tensor]]:
        with no_init_weights():
            model = build_from_configuration(config)
        for part in (model.text_encoder, model.image_encoder, model.decoder):
            part.tie_weights()
        model.config.fusion = config.fusion
        model.check_input = lambda tensor, name: None  # type: ignore[method-assign]  # it reads values
        if config.kernels == "fast" and on_cpu:
            use_fast_kernels(model.decoder)
        model.train(True)
        return model, lambda: _loss_of_dummy_batch(model, shape)

    return step_memory(build, accumulates=accumulates, precision=precision)


def _loss_of_dummy_batch(model: Any, shape: BatchShape) -> Tensor:
    rows, vision = shape.rows, model.image_encoder.config
    batch: dict[str, Tensor] = {"attention_mask": torch.ones(rows, shape.question_tokens, dtype=torch.long)}
    if shape.text_features_cached:
        tokens = 1 if model.config.fusion == "mean" else shape.question_tokens
        batch["text_features"] = torch.zeros(rows, tokens, model.text_encoder.config.hidden_size)
    else:
        batch["input_ids"] = torch.ones(rows, shape.question_tokens, dtype=torch.long)
    height, width = image_size(vision)
    if shape.image_features_cached:
        states = 1 if model.config.fusion == "mean" else 1 + patch_count(vision)
        batch["image_features"] = torch.zeros(rows, states, vision.hidden_size)
    else:
        batch["pixel_values"] = torch.zeros(rows, getattr(vision, "num_channels", 3), height, width)
    answers = torch.zeros(rows, 1 + shape.answer_tokens, dtype=torch.long)
    loss: Tensor = model(**batch, decoder_input_ids=answers, labels=answers.clone()).loss
    return loss


def image_size(vision: Any) -> tuple[int, int]:
    """Height and width of the image encoder's input, in pixels; 224 each if its configuration has no `image_size`."""
    size = getattr(vision, "image_size", 224)
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def patch_count(vision: Any) -> int:
    """The number of patches of an image; 0 if the encoder's configuration has no `patch_size`."""
    size, patch = image_size(vision), getattr(vision, "patch_size", 0)
    patch = patch if isinstance(patch, int) else patch[0]
    return (size[0] // patch) * (size[1] // patch) if patch else 0
