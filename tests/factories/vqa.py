"""Tiny VQA models for tests: the book's classes with toy sizes, as parts on disk and as whole models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoConfig, DistilBertConfig, DistilBertTokenizer, GPT2Config, GPT2Tokenizer, ViTConfig
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from looptop.engine.vqa.model.configuration import VqaConfig
from looptop.engine.vqa.model.processing import VqaProcessor
from looptop.engine.vqa.model.vqa_model import VqaModel
from tests.factories.copies import made_once

TEXT = "is there a blue red shape triangle circle in the image what color does contain not no present it ?"
SENTENCES = [" yes", " no", " red", " blue", " triangle", " circle", " polar bear", " 2"] * 4
QUESTIONS = [
    "what color is the triangle?",
    "is there a circle in the image?",
    "it?",
    "what shape does the image contain? is it not present? is there no blue shape?",
]
COLORS = ["red", "blue", "white", "black"]


def save_processors(folder: Path, image_size: int = 32, positions: int = 24) -> tuple[str, str, str]:
    """Writes tokenizers, image processor and configurations of three parts; returns their folders."""
    _save_processors(folder, image_size, positions)
    return str(folder / "text"), str(folder / "image"), str(folder / "decoder")


@made_once
def _save_processors(folder: Path, image_size: int, positions: int) -> None:
    text, image, decoder = folder / "text", folder / "image", folder / "decoder"
    for part in (text, image, decoder):
        part.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *TEXT.split()]
    DistilBertTokenizer(vocab={word: row for row, word in enumerate(vocabulary)}).save_pretrained(text)
    DistilBertConfig(
        vocab_size=len(vocabulary), dim=32, n_heads=2, n_layers=1, hidden_dim=64, max_position_embeddings=positions
    ).save_pretrained(text)
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(SENTENCES, vocab_size=300, special_tokens=["<|endoftext|>"])
    bpe.save_model(str(decoder))
    tokenizer = GPT2Tokenizer(vocab=str(decoder / "vocab.json"), merges=str(decoder / "merges.txt"))
    tokenizer.save_pretrained(decoder)
    GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2, n_positions=16).save_pretrained(decoder)
    ViTImageProcessorPil(size={"height": image_size, "width": image_size}).save_pretrained(image)
    ViTConfig(
        image_size=image_size, patch_size=8, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64,
    ).save_pretrained(image)  # fmt: skip


def tiny_config(folder: Path, fusion: Any = "mean") -> VqaConfig:
    """Configuration of a model whose parts (configurations only) are written below the folder."""
    parts = save_processors(folder)
    text, image, decoder = (AutoConfig.from_pretrained(part) for part in parts)
    return VqaConfig(text, image, decoder, fusion=fusion)


def tiny_model(folder: Path, fusion: Any = "mean", spread: float = 0.3) -> tuple[VqaModel, VqaProcessor]:
    """A model whose weights are random and large enough for its answers to differ."""
    config = tiny_config(folder, fusion)
    torch.manual_seed(1)
    model = VqaModel(config).train(False)
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
