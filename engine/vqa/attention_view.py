"""The image as the model sees it, and the model's attention (figures 7.2, 7.4 and 7.5).

The published code drew cross-attention over one vector, which is 1.0 everywhere. Here the picture is the attention of
the image encoder's class token in its last layer. The decoder's cross-attention is added with fusion `tokens`, which
has several vectors to attend to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from looptop.engine.vqa.answer_records import Grid, ModelView
from looptop.engine.vqa.model import VqaModel
from looptop.engine.vqa.processing import VqaProcessor


@torch.inference_mode()
def attention_view(
    model: VqaModel,
    processor: VqaProcessor,
    pixel_values: Tensor,
    memory: Tensor,
    memory_mask: Tensor | None,
    tokens: Sequence[int],
) -> ModelView:
    """Makes the view of one image and one answer, in forward passes of its own.

    Args:
        model: In evaluation mode.
        processor: The processor that prepared the image.
        pixel_values: `[1, 3, height, width]`.
        memory: `[1, memory length, decoder width]`.
        memory_mask: `[1, memory length]` or None.
        tokens: The answer's tokens, without begin and end.
    """
    height, width = pixel_values.shape[-2:]
    with _weights_returned(model.image_encoder):
        layers = model.image_encoder(pixel_values, output_attentions=True).attentions
    rows, columns = patch_grid(model.image_encoder.config, height, width)
    # [1, heads, states, states]; the class token is first, the patches are last (some models have tokens in between).
    attention = layers[-1][0].mean(dim=0)[0, -rows * columns :]
    cross_attention = None
    if model.config.fusion == "tokens":
        ids = torch.tensor([[processor.begin_id, *tokens]], device=memory.device)
        with _weights_returned(model.decoder):
            out = model.decoder(
                input_ids=ids,
                encoder_hidden_states=memory,
                encoder_attention_mask=memory_mask,
                use_cache=False,
                output_attentions=True,
            )
        # Layers of [1, heads, answer tokens, memory length]; the patches are at the memory's end.
        weights = torch.stack(out.cross_attentions).mean(dim=(0, 2))[0, :, -rows * columns :]
        cross_attention = [as_grid(weights_of_token, rows, columns) for weights_of_token in weights]
    rgb = rgb_pixels(processor.image_processor, pixel_values[0])
    return ModelView((width, height), rgb, as_grid(attention, rows, columns), cross_attention)


def rgb_pixels(image_processor: Any, pixel_values: Tensor) -> bytes:
    """The prepared image as RGB bytes, its normalisation undone.

    Args:
        image_processor: The image processor that normalised it.
        pixel_values: `[3, height, width]`.
    """
    pixels = pixel_values.float().cpu()
    if image_processor.do_normalize:
        std = torch.tensor(image_processor.image_std).view(-1, 1, 1)
        mean = torch.tensor(image_processor.image_mean).view(-1, 1, 1)
        pixels = pixels * std + mean
    if image_processor.do_rescale:
        pixels = pixels / image_processor.rescale_factor
    pixels = pixels.expand(3, -1, -1).round().clamp(0, 255).to(torch.uint8)
    return bytes(pixels.permute(1, 2, 0).contiguous().numpy().tobytes())


def patch_grid(config: Any, height: int, width: int) -> tuple[int, int]:
    """The number of rows and columns of patches of an image."""
    size = config.patch_size
    rows, columns = (size, size) if isinstance(size, int) else size
    return height // rows, width // columns


def as_grid(weights: Tensor, rows: int, columns: int) -> Grid:
    """`[rows * columns]` weights, scaled to the range from 0 to 1; all 0 if they are equal."""
    weights = weights.float().cpu() - weights.min().float().cpu()
    highest = float(weights.max())
    grid: Grid = (weights / (highest or 1.0)).view(rows, columns).tolist()
    return grid


@contextmanager
def _weights_returned(part: PreTrainedModel) -> Iterator[None]:
    """Switches the part to eager attention, since fused attention returns no weights."""
    before = part.config._attn_implementation
    part.set_attn_implementation("eager")
    try:
        yield
    finally:
        part.set_attn_implementation(before)
