"""What the losses of a run say about each training question: dataset cartography.

Source: Swayamdipta et al. 2020, Dataset Cartography (https://arxiv.org/abs/2009.10795), section 2. The confidence of a
question in an epoch is the probability of exactly its label. Questions of low mean confidence are hard to learn, and
often mislabelled; those of high variability are ambiguous; those of high confidence and low variability are easy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


class Statistics(NamedTuple):
    """One number for each question, `[questions]`; NaN of a question that no epoch has trained on."""

    loss: Numbers
    """Its loss in the last epoch that trained on it, in nats."""
    confidence: Numbers
    """The mean over the epochs that trained on it, from 0 to 1."""
    variability: Numbers
    """The standard deviation over these epochs, from 0 to 0.5."""


def confidences_of(losses: npt.NDArray[Any]) -> Numbers:
    """The probability of the label, of the same shape as its loss in nats: exp(-loss), at most 1; NaN of NaN."""
    confidences: Numbers = np.minimum(np.exp(-losses.astype(np.float64)), 1.0)
    return confidences


def statistics_of(losses: Sequence[npt.NDArray[Any]], count: int) -> Statistics:
    """The statistics of all questions.

    Args:
        losses: Of each epoch `[count]`, in nats, the first epoch first; NaN where it did not train on the question.
        count: The number of questions.
    """
    last = np.full(count, np.nan)
    seen, total = np.zeros(count), np.zeros(count)
    for epoch in losses:
        is_seen = ~np.isnan(epoch)
        last[is_seen] = epoch[is_seen]
        seen += is_seen
        total += np.where(is_seen, confidences_of(epoch), 0.0)
    seen[seen == 0] = np.nan
    mean = total / seen
    squares = np.zeros(count)
    for epoch in losses:
        squares += np.where(np.isnan(epoch), 0.0, (confidences_of(epoch) - mean) ** 2)
    return Statistics(last, mean, np.sqrt(squares / seen))
