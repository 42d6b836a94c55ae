"""Models of published sizes with random weights, and data for them: what a hub would give, without the hub.

Word-level tokenizers as large as the models' vocabularies stand in for the real ones: `w7` is token 7.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import (
    AutoConfig,
    DistilBertConfig,
    DistilBertModel,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
    T5Config,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTModel,
)

from tests.factories.vqa import save_processors

T5_VOCABULARY = 32128
GPT2_VOCABULARY = 50257
ROBERTA_VOCABULARY = 50265

VQA_PARAMETERS = 306_739_968
"""Of the book's VQA model: DistilBERT-base, ViT-B/16 and GPT-2 with cross-attention, and two projections."""


def save_words(folder: Path, size: int, special: dict[str, str], frame: str, **options: Any) -> None:
    """Writes a tokenizer of `size` words.

    Args:
        folder: Where to.
        size: How many words it has.
        special: The special tokens in the order of their ids: role (`pad_token`, ...) to text.
        frame: What a text becomes, `$A` in its place: `$A </s>`.
        **options: Passed to the tokenizer.
    """
    words = dict.fromkeys(special.values())
    vocabulary = {word: number for number, word in enumerate(words)}
    vocabulary |= {f"w{number}": number for number in range(len(words), size)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=special["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    known = [(word, vocabulary[word]) for word in frame.split() if word != "$A"]
    tokenizer.post_processor = processors.TemplateProcessing(frame, None, known)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special, **options).save_pretrained(folder)


def save_t5(folder: Path, toy: bool = False) -> Path:
    """FLAN-T5-small's architecture, 77 M parameters, its head untied."""
    torch.manual_seed(0)
    size = 512 if toy else T5_VOCABULARY
    save_words(folder, size, {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}, "$A </s>")
    shape: dict[str, Any] = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
    if not toy:
        shape = {"d_model": 512, "d_kv": 64, "d_ff": 1024, "num_layers": 8, "num_heads": 6}
    config = T5Config(  # type: ignore[call-arg]
        vocab_size=size, feed_forward_proj="gated-gelu", decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
        tie_word_embeddings=False, **shape,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    model.lm_head.weight = torch.nn.Parameter(0.02 * torch.randn(size, config.d_model))
    model.save_pretrained(folder)
    return folder


def save_gpt2(folder: Path, toy: bool = False) -> Path:
    """GPT-2's smallest size, 124 M parameters; its end token is its first one."""
    torch.manual_seed(0)
    size = 512 if toy else GPT2_VOCABULARY
    end = "<|endoftext|>"
    save_words(folder, size, {"eos_token": end, "unk_token": "<unk>"}, "$A")
    shape: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 2} if toy else {}
    GPT2LMHeadModel(GPT2Config(vocab_size=size, bos_token_id=0, eos_token_id=0, **shape)).save_pretrained(folder)
    return folder


def save_roberta(folder: Path, labels: int = 2, toy: bool = False) -> Path:
    """A RoBERTa-base classifier, 125 M parameters."""
    torch.manual_seed(labels)
    size = 512 if toy else ROBERTA_VOCABULARY
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    save_words(folder, size, special, "<s> $A </s>", model_max_length=512)
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    config = RobertaConfig(  # type: ignore[call-arg]
        vocab_size=size, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5, num_labels=labels,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, **(shape if toy else {}),
    )  # fmt: skip
    RobertaForSequenceClassification(config).save_pretrained(folder)
    return folder


def save_vqa_parts(folder: Path, toy: bool = False) -> tuple[str, str, str]:
    """DistilBERT-base, ViT-B/16 and GPT-2, each in a folder of its own with what prepares its inputs."""
    torch.manual_seed(0)
    text, image, decoder = save_processors(folder) if toy else save_processors(folder, image_size=224, positions=512)
    configs = [DistilBertConfig(), ViTConfig(), GPT2Config()]
    if toy:
        configs = [AutoConfig.from_pretrained(part) for part in (text, image, decoder)]
        configs[2].n_positions = 64  # A random decoder writes the longest answers that there are.
    DistilBertModel(configs[0]).save_pretrained(text)  # type: ignore[arg-type]
    ViTModel(configs[1]).save_pretrained(image)  # type: ignore[arg-type]
    GPT2LMHeadModel(configs[2]).save_pretrained(decoder)  # type: ignore[arg-type]
    return text, image, decoder


def save_photos(folder: Path, images: int, questions: int = 5, size: tuple[int, int] = (640, 480)) -> Path:
    """A folder of photo-like JPEG files and a table of questions about them."""
    folder.mkdir(parents=True)
    source = np.random.default_rng(1)
    answers = ("yes", "no", "red", "blue", "triangle", "circle", "2")
    with (folder / "questions.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "question", "answer"])
        for number in range(images):
            coarse = Image.fromarray(source.integers(0, 255, (24, 32, 3), dtype=np.uint8))
            smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
            noisy = np.clip(smooth + source.normal(0, 18, smooth.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / f"{number}.jpg", quality=90)
            for question in range(questions):
                color = ("red", "blue")[question % 2]
                text = f"is there a {color} shape in the image {' ?' * (question // 2)}"
                table.writerow([f"{number}.jpg", text, answers[(number + question) % len(answers)]])
    return folder


def save_queries(file: Path, count: int, words: int, vocabulary: int) -> Path:
    """A JSONL file of texts of so many words, which are one token each."""
    source = torch.Generator().manual_seed(1)
    numbers = torch.randint(4, vocabulary, (count, words), generator=source).tolist()
    file.write_text("".join(json.dumps({"text": " ".join(f"w{n}" for n in row)}) + "\n" for row in numbers))
    return file
