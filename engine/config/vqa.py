"""The configuration of a run that trains a visual-question-answering model (listings 7.2 to 7.4)."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from msgspec import Meta

from looptop.engine.config.training import TrainingConfig
from looptop.engine.config.types import Kernels, Natural, Positive, Table

Fusion = Literal["mean", "tokens"]
FUSIONS: tuple[Fusion, ...] = get_args(Fusion)

Freeze = Literal["nothing", "text_encoder", "image_encoder", "encoders", "decoder", "all"]
FREEZE_VALUES: tuple[Freeze, ...] = get_args(Freeze)
"""The values of `freeze`, in the book's words."""


class ModelConfig(Table, frozen=True, kw_only=True):
    """The three models and how they are combined. A model's name is a hub name, a local folder, or `bundled:PART`."""

    text_encoder: str
    """The model that reads the question, such as DistilBERT."""
    image_encoder: str
    """The model that sees the image, such as a ViT."""
    decoder: str
    """The language model that writes the answer, such as GPT-2."""
    fusion: Fusion = "mean"
    """What the decoder sees: `mean`: the mean of text and image as one vector; `tokens`: every token and patch."""
    freeze: tuple[Freeze, ...] = ("nothing",)
    """The parts that are not trained; several with commas. Cross-attention and projections are always trained."""
    start_from: Annotated[str, Meta(examples=["", "bundled"])] = ""
    """A complete VQA model to start from instead of the three parts: `bundled`, a run's id, or a folder. `fusion` and
    `freeze` still apply."""
    kernels: Kernels = "fast"
    """`fast`: on a CPU a GPT-2 computes with looptop's own activation and attention. `transformers`: with
    transformers' own, as it always does on a GPU."""


class DataConfig(Table, frozen=True, kw_only=True):
    """Where questions, images and answers come from."""

    source: Annotated[str, Meta(examples=["easy-vqa", "vqa-v2"])]
    """`easy-vqa`, a folder with images and a CSV, JSONL or JSON table, a prepared data set, or `vqa-v2` with the next
    three settings."""
    annotations: str = ""
    """VQA v2: the JSON file of the annotations."""
    questions: str = ""
    """VQA v2: the JSON file of the questions."""
    images: str = ""
    """The folder of the images. VQA v2 needs it; a table, only if it is neither its own folder nor one beside it."""
    start_at: Natural | None = None
    """The first question that is used, counted from 0."""
    end_at: Natural | None = None
    """The first question that is not used any more."""
    max_images: Positive | None = None
    """Use at most this many images of each split."""
    max_questions: Positive | None = None
    """Use at most this many questions of one image, as in listing 7.3."""
    min_agreement: Annotated[int, Meta(ge=1, le=10)] = 1
    """How many of the ten answers must agree for a question to be used (VQA v2 only)."""
    validation_fraction: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    """Fraction of the images held out if the source has no validation split; no image is in both splits."""


class VqaTrainingConfig(TrainingConfig, frozen=True, kw_only=True):
    """The training arguments of a VQA run."""

    per_device_train_batch_size: Positive = 16
    """Questions in one forward and backward pass of each process."""
    per_device_eval_batch_size: Positive = 16
    """Questions in one pass of an evaluation."""
    gradient_accumulation_steps: Positive = 1
    """Batches whose gradients make one step of the optimiser."""
    eval_strategy: Literal["steps", "epoch"] = "epoch"
    """When to evaluate: after each epoch, or every `eval_steps` steps."""
    eval_steps: Positive = 500
    """Steps between two evaluations, if `eval_strategy` is `steps`."""
    metric_for_best_model: Literal["loss", "accuracy"] = "loss"
    """Which figure of validation chooses the checkpoint that becomes the result."""
    keep_features: bool = True
    """Compute the features of frozen encoders once and keep them, if they fit in a quarter of the free memory."""
    dataloader_num_workers: Natural = 0
    """Processes that prepare batches while the model computes; 0 to prepare them in the run's own process."""
    answer_samples: Natural = 8
    """Validation questions whose answers are recorded at each evaluation."""


class VqaRunConfig(Table, frozen=True, kw_only=True):
    """The whole configuration of a VQA run."""

    kind: Literal["vqa"] = "vqa"
    preset: str
    model: ModelConfig
    data: DataConfig
    training: VqaTrainingConfig
