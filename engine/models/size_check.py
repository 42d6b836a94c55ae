"""Which size in a model's config.json its weights cannot have, in words. Imports no torch.

transformers builds what config.json says before it looks at the weights: a wrong size can take all memory, or hours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from looptop.engine.errors import LooptopError
from looptop.engine.models.tensor_shapes import tensor_shapes
from looptop.engine.models.value_types import shortened
from looptop.engine.text import counted, visible

Shapes = list[tuple[int, ...]]

FAR = 16
"""A size is refused before anything is built if it is this many times the largest of the weights. transformers finds
smaller differences itself, and the tensors that have another shape are named then."""

_DIMENSIONS = ("vocab_size", "d_model", "hidden_size", "n_embd", "dim")
"""Sizes that a tensor of every model with such a key has."""
_FACTORS = (
    *("d_ff", "intermediate_size", "n_inner", "hidden_dim", "n_positions", "type_vocab_size"),
    *("d_kv", "num_heads", "num_attention_heads", "n_head", "n_heads", "relative_attention_num_buckets"),
)
"""Sizes that a tensor has alone, multiplied with another, or not at all."""
_LAYERS = ("num_layers", "num_decoder_layers", "num_hidden_layers", "n_layer", "n_layers")


def shapes_of_weights(folder: Path) -> Shapes:
    """The shapes of all tensors of a model's folder; none if it holds no weights, or damaged ones."""
    try:
        return [shape for file in sorted(folder.glob("model*.safetensors")) for shape in tensor_shapes(file).values()]
    except LooptopError:
        return []


def far_size(data: Mapping[str, Any], shapes: Shapes) -> str:
    """The first size in config.json that is below 1 or far above those of the weights, in words; empty if none is.

    Args:
        data: What config.json holds.
        shapes: The shapes of the weights' tensors.
    """
    largest = max((size for shape in shapes for size in shape), default=0)
    if not largest:
        return ""
    for name, value in _sizes(data, _LAYERS):
        if value > len(shapes):
            return f"{name} is {shortened(value)}, and its weights have {counted(len(shapes), 'tensor')}"
    for name, value in _sizes(data, _DIMENSIONS + _FACTORS):
        if value > FAR * largest:
            return f"{name} is {shortened(value)}, and the largest size in its weights is {largest:,}"
    return next((_no_tensor(name, value) for name, value in _sizes(data, _DIMENSIONS) if value < 1), "")


def other_size(data: Mapping[str, Any], shapes: Shapes) -> str:
    """The first size in config.json that no tensor has, in words; empty if there is none.

    Args:
        data: What config.json holds.
        shapes: The shapes of the weights' tensors.
    """
    sizes = {size for shape in shapes for size in shape}
    for name, value in _sizes(data, _DIMENSIONS):
        if sizes and value not in sizes:
            return _no_tensor(name, value)
    return ""


def _no_tensor(name: str, value: int) -> str:
    return f"{name} is {shortened(value)}, and no tensor of its weights has that size"


def _sizes(data: Mapping[str, Any], keys: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Name and value of each size in a configuration and in its parts."""
    parts = {f"{visible(key)}.": part for key, part in data.items() if isinstance(part, dict) and "model_type" in part}
    for prefix, part in ({"": data} | parts).items():
        for key in keys:
            value = part.get(key)
            if isinstance(value, int) and not isinstance(value, bool):
                yield prefix + key, value
