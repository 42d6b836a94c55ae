"""Which of a model's files is damaged, in a sentence; asked when loading it has failed. Imports no torch."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path

from looptop.engine.errors import UNREADABLE, LooptopError, error_text
from looptop.engine.files.private import read_regular
from looptop.engine.models.tensor_shapes import ADVICE, check_tensors
from looptop.engine.models.value_types import wrong_value
from looptop.engine.text import visible

MAX_JSON_BYTES = 512 * 2**20
"""A tokenizer's file may be large."""

_TOKENIZER = "tokenizer.json"
_IMAGE_PROCESSOR = "preprocessor_config.json"
_IMAGE_KEYS = ("image_processor_type", "feature_extractor_type")


def damage_of(source: str | PathLike[str]) -> str:
    """The first file in a model's folder that is damaged, in a sentence; empty if none is known to be.

    Args:
        source: Local folder; of the name of a model on the hub, nothing is known.
    """
    folder = Path(source)
    if not folder.is_dir():
        return ""
    for file in sorted(folder.glob("*.safetensors")):
        try:
            check_tensors(file)
        except LooptopError as error:
            return str(error)
    return next(filter(None, map(_damage_of_json, sorted(folder.glob("*.json")))), "")


def _damage_of_json(file: Path) -> str:
    try:
        data = json.loads(read_regular(file, MAX_JSON_BYTES, follow_links=True))
    except UNREADABLE:
        return f"{visible(file)} is damaged: it is not JSON; {ADVICE}"
    except OSError:
        return ""
    why = ""
    if file.name == _TOKENIZER and not (isinstance(data, dict) and isinstance(data.get("model"), dict)):
        why = "it holds no vocabulary"
    elif file.name == _IMAGE_PROCESSOR and not (isinstance(data, dict) and any(data.get(key) for key in _IMAGE_KEYS)):
        why = f"it names no {_IMAGE_KEYS[0]}"
    elif isinstance(data, dict):
        why = wrong_value(file.name, data) or (_refused_by_tokenizers(file) if file.name == _TOKENIZER else "")
    return why and f"{visible(file)} is damaged: {why}; {ADVICE}"


def _refused_by_tokenizers(file: Path) -> str:
    """Why the library that reads a tokenizer's file refuses it; empty if it does not."""
    from tokenizers import Tokenizer

    try:
        Tokenizer.from_file(str(file))
    except Exception as error:  # The library raises nothing else.
        return f"the library tokenizers cannot read it ({error_text(error)})"
    return ""
