"""Answers as the decoder is taught them: its input, and the token that should follow each of its tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

IGNORED = -100
"""The label that the cross-entropy loss passes over."""


def answer_labels(answers: Sequence[Sequence[int]], begin_id: int, end_id: int) -> tuple[Tensor, Tensor]:
    """The decoder's input and its targets for tokenised answers.

    The end token is a target (fault 1 of the published code masked it together with the padding that has the same id,
    so its model never learned to stop); only what lies behind it is ignored.

    Args:
        answers: Token ids of each answer, without begin and end.
        begin_id: The token that every answer begins with.
        end_id: The token that ends an answer; it also pads, as in GPT-2.

    Returns:
        `decoder_input_ids` and `labels`, both `[batch, 1 + longest answer]`.
    """
    length = 1 + max(len(answer) for answer in answers)
    inputs = torch.full((len(answers), length), end_id, dtype=torch.long)
    labels = torch.full((len(answers), length), IGNORED, dtype=torch.long)
    for row, answer in enumerate(answers):
        ids = torch.tensor(list(answer), dtype=torch.long)
        inputs[row, 0] = begin_id
        inputs[row, 1 : 1 + len(ids)] = ids
        labels[row, : len(ids)] = ids
        labels[row, len(ids)] = end_id
    return inputs, labels
