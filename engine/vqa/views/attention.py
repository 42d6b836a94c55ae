"""Computes the attention of a model with extra forward passes (figures 7.4 and 7.5).

The published code drew cross-attention over one vector, which is 1.0 everywhere. Here it is drawn with fusion `tokens`,
which has several vectors to attend to; the image encoder's attention is drawn for every model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from looptop.engine.vqa.model.vqa_model import VqaModel
from looptop.engine.vqa.views.records import Grid


@torch.inference_mode()
def encoder_attention(model: VqaModel, pixel_values: Tensor) -> list[Grid] | None:
    """The attention of the image encoder's class token to each patch, for each head of the last layer.

    Args:
        model: In evaluation mode.
        pixel_values: `[1, 3, height, width]`.

    Returns:
        One grid for each head. None if the encoder's configuration has no patch size, or if the encoder returns no
        attention between all its states, or has no state besides the patches.
    """
    grid = patch_grid(model.image_encoder.config, *pixel_values.shape[-2:])
    if grid is None:
        return None
    rows, columns = grid
    with _eager_attention(model.image_encoder):
        layers = model.image_encoder(pixel_values, output_attentions=True).attentions
    # [1, heads, states, states]; the class token is first, the patches are last (some models have tokens in between).
    if not layers or layers[-1] is None or layers[-1].dim() != 4 or layers[-1].shape[-1] <= rows * columns:
        return None
    return [as_grid(weights, rows, columns) for weights in layers[-1][0, :, 0, -rows * columns :]]


@torch.inference_mode()
def token_attention(
    model: VqaModel, memory: Tensor, memory_mask: Tensor | None, tokens: Sequence[int], grid: tuple[int, int]
) -> list[Grid]:
    """The decoder's cross-attention to each patch when it wrote each token, averaged over layers and heads.

    Args:
        model: In evaluation mode, with fusion `tokens`.
        memory: The states that the decoder attends to, `[1, memory length, decoder width]`; the patches are the last.
        memory_mask: `[1, memory length]` or None.
        tokens: The begin token and the answer's tokens.
        grid: Rows and columns of patches.

    Returns:
        One grid for each of `tokens`: grid i shows the attention with which the token after `tokens[i]` was predicted.
    """
    rows, columns = grid
    with _eager_attention(model.decoder):
        out = model.decoder(
            input_ids=torch.tensor([list(tokens)], device=memory.device),
            encoder_hidden_states=memory,
            encoder_attention_mask=memory_mask,
            use_cache=False,
            output_attentions=True,
        )
    # Layers of [1, heads, answer tokens, memory length].
    weights = torch.stack(out.cross_attentions).mean(dim=(0, 2))[0, :, -rows * columns :]
    return [as_grid(weights_of_token, rows, columns) for weights_of_token in weights]


def patch_grid(config: Any, height: int, width: int) -> tuple[int, int] | None:
    """The number of rows and columns of patches of an image; None if the encoder's configuration has no patch size.

    Args:
        config: The image encoder's configuration.
        height: Of the image, in pixels.
        width: The same.
    """
    size = getattr(config, "patch_size", None)
    if size is None:
        return None
    patch_height, patch_width = (size, size) if isinstance(size, int) else size
    return height // patch_height, width // patch_width


def as_grid(weights: Tensor, rows: int, columns: int) -> Grid:
    """`[rows * columns]` weights as a grid."""
    grid: Grid = weights.float().cpu().view(rows, columns).tolist()
    return grid


@contextmanager
def _eager_attention(part: PreTrainedModel) -> Iterator[None]:
    """Uses eager attention in a part of the model meanwhile: fused attention returns no weights."""
    before = part.config._attn_implementation
    part.set_attn_implementation("eager")
    try:
        yield
    finally:
        part.set_attn_implementation(before)
