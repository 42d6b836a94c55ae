"""Tiny parts on disk, of the book's classes: what a hub name would give, without the hub."""

from __future__ import annotations

from pathlib import Path

from tokenizers import ByteLevelBPETokenizer
from transformers import DistilBertConfig, DistilBertTokenizer, GPT2Config, GPT2Tokenizer, ViTConfig
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

TEXT = "is there a blue red shape triangle circle in the image what color does contain not no present it ?"
SENTENCES = [" yes", " no", " red", " blue", " triangle", " circle", " polar bear", " 2"] * 4


def save_processors(folder: Path, image_size: int = 32, positions: int = 24) -> tuple[str, str, str]:
    """Writes tokenizers, image processor and configurations of three parts; returns their folders."""
    text, image, decoder = folder / "text", folder / "image", folder / "decoder"
    for part in (text, image, decoder):
        part.mkdir(parents=True)
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
    return str(text), str(image), str(decoder)
