"""Images that are unlike those that a model was trained on, by the image encoder's features.

The distance of an image is that of its features to the nearest training image's, both scaled to length 1 (Sun et al.,
"Out-of-Distribution Detection with Deep Nearest Neighbors", ICML 2022). An image is unfamiliar if its distance exceeds
that of 99 % of the validation images, which the model was not trained on either. A few hundred of them show that
percentile only roughly, so the threshold is the upper bound of its 90 % confidence interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from looptop.engine.errors import error_text
from looptop.engine.files.private import read_regular
from looptop.engine.vqa.confidence.training_notes import (
    FORMAT,
    IMAGES,
    MIN_VALIDATION_IMAGES,
    newer,
    replace_note,
    unreadable,
)

MAX_FILE_BYTES = 64 * 2**20

MAX_IMAGES = 2000
"""The most training images whose features are kept; 3 MiB with 768 dimensions, in half precision."""

FAMILIAR_FRACTION = 0.99

UPPER_BOUND = 1.2816
"""Standard deviations: a normally distributed number is below with a probability of 90 %."""


@dataclass(frozen=True)
class TrainingImages:
    """Features of training images, and the distance from which on an image is unlike them."""

    features: Tensor
    """`[images, width]`, each of length 1."""
    threshold: float
    """From 0 to 2; 99 % of the validation images are nearer."""

    def distances(self, features: Tensor) -> Tensor:
        """The distance of each image to its nearest training image, `[n]`, from 0 to 2.

        Args:
            features: `[n, width]`, of any length.
        """
        return _nearest(_unit(features), self.features)

    def save(self, folder: Path) -> None:
        """Writes `IMAGES` into a model's folder, in half precision."""
        tensors = {"features": self.features.half().contiguous(), "threshold": torch.tensor(self.threshold)}
        replace_note(folder / IMAGES, safetensors.torch.save(tensors))

    @classmethod
    def load(cls, folder: Path) -> TrainingImages | None:
        """Reads what `save` wrote; None if the model has none.

        Raises:
            LooptopError: The file is damaged, or was written by a newer looptop.
        """
        file = folder / IMAGES
        try:
            tensors = safetensors.torch.load(read_regular(file, MAX_FILE_BYTES, follow_links=True))
            if int(tensors.get("format", torch.tensor(1))) > FORMAT:
                raise newer(file)
            features, threshold = tensors["features"].float(), float(tensors["threshold"])
        except FileNotFoundError:
            return None
        except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
            raise unreadable(file, error_text(error)) from None
        if features.dim() != 2 or not features.numel() or not torch.isfinite(features).all() or not threshold >= 0:
            raise unreadable(file, "its numbers are no features")
        return cls(features, threshold)


def fit_training_images(training: Tensor, validation: Tensor) -> TrainingImages | None:
    """Finds the threshold.

    Args:
        training: `[n, width]`, features of training images.
        validation: `[m, width]`, features of images that were held out.

    Returns:
        None with too few images to tell.
    """
    if len(validation) < MIN_VALIDATION_IMAGES or not len(training):
        return None
    # As they will be after loading, so that the threshold belongs to them.
    features = _unit(training).half().float()
    distances = _nearest(_unit(validation), features).sort().values
    return TrainingImages(features, float(distances[_threshold_rank(len(distances))]))


def image_features(states: Tensor) -> Tensor:
    """One vector for each image: the mean of its states.

    Args:
        states: `[n, states, width]`, from `VqaModel.image_states`.

    Returns:
        `[n, width]`, single precision, on the CPU.
    """
    return states.mean(dim=1).float().cpu()


def _threshold_rank(count: int) -> int:
    """The index, among this many sorted distances, of the upper bound of the 99th percentile."""
    # How many of the images are below the true percentile is binomially distributed.
    expected = FAMILIAR_FRACTION * count
    deviation = math.sqrt(expected * (1 - FAMILIAR_FRACTION))
    return min(count, math.ceil(expected + UPPER_BOUND * deviation)) - 1


def _unit(features: Tensor) -> Tensor:
    return torch.nn.functional.normalize(features.float(), dim=-1)


def _nearest(features: Tensor, others: Tensor) -> Tensor:
    # The distance of vectors of length 1, from their cosine.
    return (2 - 2 * (features @ others.T).amax(dim=1)).clamp(min=0).sqrt()
