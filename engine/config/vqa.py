"""The configuration of a run that trains a visual-question-answering model (listings 7.2 to 7.4)."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from msgspec import Meta

from looptop.engine.config.training import TrainingConfig
from looptop.engine.config.types import Kernels, Natural, Positive, Table

Fusion = Literal["mean", "tokens"]
FUSIONS: tuple[Fusion, ...] = get_args(Fusion)

Frozen = Literal["nothing", "text_encoder", "image_encoder", "encoders", "decoder", "all"]
FREEZABLE: tuple[Frozen, ...] = get_args(Frozen)
"""The parts that can be excluded from training, by the book's names."""


class ModelConfig(Table, frozen=True, kw_only=True):
    """The three models and how they are put together. A name is a hub name, a local folder, or `bundled:PART`."""

    text_encoder: str
    image_encoder: str
    decoder: str
    fusion: Fusion = "mean"
    freeze: tuple[Frozen, ...] = ("nothing",)
    start_from: str = ""
    """A whole VQA model to start from instead of the three parts: `bundled`, a run's id, or a folder."""
    kernels: Kernels = "fast"
    """`fast`: on a processor a GPT-2 computes with looptop's own activation and attention. `transformers`: with
    transformers' own, as it always does on a GPU."""


class DataConfig(Table, frozen=True, kw_only=True):
    """Where questions, images and answers come from."""

    source: str
    """`easy-vqa`, a folder with images and a CSV, JSONL or JSON table, a prepared data set, or `vqa-v2` with the three
    below."""
    annotations: str = ""
    questions: str = ""
    images: str = ""
    start_at: Natural | None = None
    """The first question taken, counted from 0."""
    end_at: Natural | None = None
    """The first question that is no longer taken."""
    max_images: Positive | None = None
    """The greatest number of images in each split."""
    max_questions: Positive | None = None
    """The greatest number of questions about one image, as in listing 7.3."""
    min_agreement: Annotated[int, Meta(ge=1, le=10)] = 1
    """The number of the ten answers that must agree for a question to be kept (VQA v2 only)."""
    validation_fraction: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    """The share of images held out for validation; an image is on one side only."""


class VqaTrainingConfig(TrainingConfig, frozen=True, kw_only=True):
    """The training arguments of a VQA run."""

    per_device_train_batch_size: Positive = 16
    per_device_eval_batch_size: Positive = 16
    gradient_accumulation_steps: Positive = 1
    eval_strategy: Literal["steps", "epoch"] = "epoch"
    eval_steps: Positive = 500
    metric_for_best_model: Literal["loss", "accuracy"] = "loss"
    keep_features: bool = True
    """Compute a frozen encoder's features once and keep them, if they fit into a quarter of the free memory."""
    dataloader_num_workers: Natural = 0
    answer_samples: Natural = 8
    """Questions of the validation set whose answers are shown at each evaluation."""


class VqaRunConfig(Table, frozen=True, kw_only=True):
    """All of a VQA run."""

    kind: Literal["vqa"] = "vqa"
    preset: str
    model: ModelConfig
    data: DataConfig
    training: VqaTrainingConfig
