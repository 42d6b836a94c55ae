"""The occlusion map of an answer: its probability with each square of the image greyed out.

Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (2014), arXiv:1311.2901, section 4.2. Unlike
attention it depends on the question with every fusion, since it measures what the model answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from looptop.engine.vqa.model.vqa_model import VqaModel
from looptop.engine.vqa.views.attention import patch_grid
from looptop.engine.vqa.views.records import Size

MAX_SQUARES = 256
"""The greatest number of squares, each of which costs a pass of the image encoder: 196 patches of a ViT at 224 pixels
are one each, smaller patches share a square."""

DEFAULT_ROWS = 14
"""The squares on the shorter side of the image if the encoder has no patches."""

BATCH_SIZE = 4
"""Images in a pass. Other requests wait for one pass."""


@torch.inference_mode()
def answer_probability(
    model: VqaModel,
    text_states: Tensor,
    attention_mask: Tensor,
    pixel_values: Tensor,
    begin_id: int,
    tokens: Sequence[int],
    end_id: int,
) -> Tensor:
    """The probability of one answer to one question about each image.

    Args:
        model: In evaluation mode.
        text_states: The question's, `[1, length, width]`, from `VqaModel.text_states`.
        attention_mask: The question's, `[1, question length]`.
        pixel_values: `[n, 3, height, width]`.
        begin_id: The token that every answer begins with.
        tokens: The answer's tokens, without begin and end.
        end_id: The token that ends an answer.

    Returns:
        `[n]`, 64-bit floats.
    """
    count = len(pixel_values)
    memory, memory_mask = model.encode(
        None, attention_mask.expand(count, -1), pixel_values, text_features=text_states.expand(count, -1, -1)
    )
    written = torch.tensor([[begin_id, *tokens]], device=memory.device).expand(count, -1)
    wanted = torch.tensor([[*tokens, end_id]]).expand(count, -1)
    log_probs = model.decode(written, memory, memory_mask).cpu().double().log_softmax(dim=-1)
    return log_probs.gather(2, wanted.unsqueeze(2)).sum(dim=(1, 2)).exp()


def squares(model: VqaModel, height: int, width: int) -> tuple[Size, list[tuple[int, int]]]:
    """The squares that are greyed out in turn.

    Returns:
        The size of a square, and the top and left of each, row by row. A square is one patch, or several if there
        would be more than `MAX_SQUARES`.
    """
    grid = patch_grid(model.image_encoder.config, height, width)
    if grid is None or not grid[0] or not grid[1]:
        side = math.ceil(min(height, width) / DEFAULT_ROWS)
        across, down = side, side
    else:
        down, across = height // grid[0], width // grid[1]
    wide, high, times = across, down, 1
    while math.ceil(height / high) * math.ceil(width / wide) > MAX_SQUARES:
        times += 1
        wide, high = times * across, times * down
    return (wide, high), [(top, left) for top in range(0, height, high) for left in range(0, width, wide)]


def occluded(pixel_values: Tensor, grey: Tensor, size: Size, corners: Sequence[tuple[int, int]]) -> Iterator[Tensor]:
    """The image with each square greyed out, in batches.

    Args:
        pixel_values: `[1, 3, height, width]`.
        grey: As `prepared_grey` returns it.
        size: Of a square.
        corners: The top and left of each square.

    Returns:
        Batches `[up to BATCH_SIZE, 3, height, width]`.
    """
    width, height = size
    grey = grey.to(pixel_values)
    for first in range(0, len(corners), BATCH_SIZE):
        some = corners[first : first + BATCH_SIZE]
        images = pixel_values.repeat(len(some), 1, 1, 1)
        for image, (top, left) in zip(images, some, strict=True):
            image[:, top : top + height, left : left + width] = grey
        yield images
