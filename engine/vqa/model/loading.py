"""Loads a trained VQA model with its processor."""

from __future__ import annotations

from pathlib import Path

import torch

from looptop.engine.compute.out_of_memory import is_out_of_memory
from looptop.engine.errors import LooptopError, error_text
from looptop.engine.models.weights import load_complete_model
from looptop.engine.text import visible
from looptop.engine.vqa.model.processing import VqaProcessor
from looptop.engine.vqa.model.step_memory import image_size
from looptop.engine.vqa.model.vqa_model import VqaModel


def load_with_processor(folder: Path) -> tuple[VqaModel, VqaProcessor]:
    """The model of a folder, in fp32, and its processor.

    Raises:
        LooptopError: Weights or another file are missing or damaged, or the model does not take the processor's images.
    """
    try:
        model: VqaModel = load_complete_model(VqaModel.from_pretrained, folder, local_files_only=True)
    except OSError as error:
        raise LooptopError(f"the model in {visible(folder)} cannot be loaded: {error_text(error)}") from error
    processor = VqaProcessor.from_pretrained(folder)
    if processor.image_size != image_size(model.image_encoder.config):
        _refuse_unfit_images(model, processor, folder)
    return model, processor


@torch.inference_mode()
def _refuse_unfit_images(model: VqaModel, processor: VqaProcessor, folder: Path) -> None:
    """Tries an empty image: some encoders take images of any size."""
    height, width = processor.image_size
    channels = getattr(model.image_encoder.config, "num_channels", 3)
    try:
        model.image_encoder(torch.zeros(1, channels, height, width))
    except Exception as error:  # Each encoder has its own kind.
        if is_out_of_memory(error):
            raise
        raise LooptopError(
            f"the image processor in {visible(folder)} makes images of {height} x {width} pixels, which its model does"
            f" not take ({error_text(error)}); correct preprocessor_config.json in {visible(folder)}"
        ) from error
