"""A tiny VQA model with random weights and its processor, as the real ones are put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoConfig

from looptop.engine.vqa.model import VqaModel
from looptop.engine.vqa.model_config import VqaConfig
from looptop.engine.vqa.processing import VqaProcessor
from tests.engine.vqa.tiny import save_processors

QUESTIONS = [
    "what color is the triangle?",
    "is there a circle in the image?",
    "it?",
    "what shape does the image contain? is it not present? is there no blue shape?",
]
COLORS = ["red", "blue", "white", "black"]


def tiny_config(folder: Path, fusion: Any = "mean") -> VqaConfig:
    """Configuration of a model whose parts (configurations only) are written below the folder."""
    parts = save_processors(folder)
    text, image, decoder = (AutoConfig.from_pretrained(part) for part in parts)
    return VqaConfig(text, image, decoder, fusion=fusion)


def tiny_model(folder: Path, fusion: Any = "mean", spread: float = 0.3) -> tuple[VqaModel, VqaProcessor]:
    """A model whose weights are random and large enough for its answers to differ."""
    config = tiny_config(folder, fusion)
    torch.manual_seed(1)
    model = VqaModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "wpe" not in name:
                parameter.normal_(std=spread)
    return model, VqaProcessor.from_parts(*(str(folder / part) for part in ("text", "image", "decoder")))


def pictures() -> list[Image.Image]:
    """Images of several sizes and colours."""
    sizes = [(32, 32), (64, 48), (20, 50), (33, 31)]
    return [Image.new("RGB", size, color) for size, color in zip(sizes, COLORS, strict=True)]


def save(model: VqaModel, processor: VqaProcessor, folder: Path) -> Path:
    """Writes a model's folder, as training does."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
