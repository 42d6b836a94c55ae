"""A damaged file of a model is named, with what is wrong and what to do, in our words."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from looptop.engine.errors import LooptopError
from looptop.engine.models.damage import damage_of
from looptop.engine.vqa.model.saved_models import folder_of

HEADER = json.dumps({"weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
WEIGHTS = struct.pack("<Q", len(HEADER)) + HEADER + bytes(8)
CONFIG = b'{"model_type": "looptop-vqa"}'
IMAGES = b'{"image_processor_type": "ViTImageProcessor"}'
TOKENIZER = b'{"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}'
WHOLE = {
    "config.json": CONFIG,
    "model.safetensors": WEIGHTS,
    "preprocessor_config.json": IMAGES,
    "tokenizer.json": TOKENIZER,
}


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("model.safetensors", WEIGHTS[:-3], f"it ends after {len(WEIGHTS) - 3} of {len(WEIGHTS)} bytes"),
        ("model.safetensors", WEIGHTS[:12], "its header is incomplete"),
        ("model.safetensors", b"", "its header is incomplete"),
        ("model.safetensors", b"\xff" * len(WEIGHTS), "its header is incomplete"),
        ("tokenizer.json", b'{"model": ', "it is not JSON"),
        ("tokenizer.json", b"\xff\xfe", "it is not JSON"),
        ("tokenizer.json", b"{}", "it holds no vocabulary"),
        ("tokenizer.json", b"[1]", "it holds no vocabulary"),
        ("tokenizer.json", TOKENIZER.replace(b"[]", b"[7]", 1), "added_tokens is [7], and must be a list of objects"),
        ("tokenizer.json", TOKENIZER.replace(b"0}", b"-1}"), "the library tokenizers cannot read it (invalid value"),
        ("preprocessor_config.json", b"{}", "it names no image_processor_type"),
        ("config.json", CONFIG[:9], "it is not JSON"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    for file, whole in WHOLE.items():
        (tmp_path / file).write_bytes(whole)
    assert damage_of(tmp_path) == ""
    (tmp_path / name).write_bytes(content)
    sentence = damage_of(tmp_path)
    assert sentence.startswith(f"{tmp_path / name} is damaged: {why}")
    assert sentence.endswith("; download or save the model again")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "holds no model: it has no config.json"),
        (CONFIG[:9], r"config\.json is damaged: it is not JSON; download or save the model again"),
        (b"[1]", r"config\.json is damaged: it holds no JSON object"),
        (b"{}", "holds no model that looptop trained"),
    ],
)
def test_why_a_folder_is_no_model_to_ask(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(LooptopError, match=words):
        folder_of(str(tmp_path))
