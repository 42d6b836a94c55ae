"""What an image processor does to an image, step by step, and the pixels that come out (figure 7.2).

The steps are not read from the configuration, which says little of the sizes and nothing of the order: the processor
prepares the image once more while its methods are watched. So this holds for every image processor that uses the
methods of transformers' own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers.image_processing_backends import PilBackend

from looptop.engine.vqa.views.records import (
    Cropped,
    Normalised,
    OwnStep,
    Padded,
    PreparationStep,
    Rescaled,
    Resized,
    Size,
)

_VALUES = ("rescale", "normalize")
_METHODS = ("resize", "center_crop", "pad", *_VALUES)


def preparation_steps(image_processor: Any, image: Image.Image) -> list[PreparationStep]:
    """The steps in which an image processor prepares an image, in order.

    Args:
        image_processor: Of any model that `VqaProcessor` takes.
        image: RGB.
    """
    watched = _Watched(image_processor)
    pixel_values = watched.processor([image], return_tensors="pt")["pixel_values"]
    height, width = pixel_values.shape[-2:]
    steps, size = watched.steps, image.size
    for step in steps:
        if isinstance(step, Resized | Cropped | Padded):
            size = step.after
    if size != (width, height):
        steps.append(OwnStep(type(image_processor).__name__, size, (width, height)))
    return steps


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


def prepared_grey(image_processor: Any) -> Tensor:
    """Middle grey (128) as the image processor prepares it: `[channels, 1, 1]` with normalisation, else `[1, 1, 1]`."""
    grey = torch.full((1, 1, 1), 128.0)
    if image_processor.do_rescale:
        grey = grey * image_processor.rescale_factor
    if image_processor.do_normalize:
        std = torch.tensor(image_processor.image_std).view(-1, 1, 1)
        mean = torch.tensor(image_processor.image_mean).view(-1, 1, 1)
        grey = (grey - mean) / std
    return grey


class _Watched:
    """A copy of an image processor that notes its steps.

    A method may call others: ConvNeXt's `resize` calls the common `resize` and `center_crop`. Then these are noted, and
    the outer one only for a change of size that they leave unexplained.
    """

    def __init__(self, image_processor: Any) -> None:
        self.steps: list[PreparationStep] = []
        self.processor = copy.copy(image_processor)
        kind: Any = type(image_processor)
        if isinstance(image_processor, PilBackend):
            # Watches what the processor's class calls with `super()`: a class that stands between it and the backend.
            common = type("_WatchedBackend", (PilBackend,), {name: self._inner(name) for name in _METHODS})
            self.processor.__class__ = type(kind.__name__, (kind, common), {})
        for name in _METHODS:
            if hasattr(self.processor, name):
                setattr(self.processor, name, self._watch(name, getattr(self.processor, name)))

    def _inner(self, name: str) -> Callable[..., Any]:
        def call(processor: Any, *args: Any, **options: Any) -> Any:
            method = getattr(PilBackend, name).__get__(processor)
            return self._watch(name, method)(*args, **options)

        return call

    def _watch(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            before, first = _size([*args, *options.values()]), len(self.steps)
            result = method(*args, **options)
            inner = self.steps[first:]
            if name in _VALUES:
                if not inner:
                    self.steps.append(self._change_of_values(name))
                return result
            sizes = [step for step in inner if isinstance(step, Resized | Cropped | Padded)]
            after = sizes[0].before if sizes else _size([result])
            if before is not None and after is not None and before != after:
                self.steps.insert(first, self._change_of_size(name, before, after, options))
            return result

        return call

    def _change_of_values(self, name: str) -> PreparationStep:
        if name == "rescale":
            return Rescaled(float(self.processor.rescale_factor))
        return Normalised(_numbers(self.processor.image_mean), _numbers(self.processor.image_std))

    def _change_of_size(self, name: str, before: Size, after: Size, options: dict[str, Any]) -> PreparationStep:
        if name == "center_crop":
            return Cropped(before, after)
        if name == "pad":
            return Padded(before, after)
        chosen: Any = options.get("resample", getattr(self.processor, "resample", None))
        try:
            return Resized(before, after, Image.Resampling(int(chosen)).name.lower())
        except (TypeError, ValueError):
            return Resized(before, after, str(getattr(chosen, "value", "")))  # torchvision's names are words


def _size(values: list[Any]) -> Size | None:
    """Width and height of the first value that is an image or a list of images, channels first."""
    for value in values:
        first = value[0] if isinstance(value, list | tuple) and len(value) else value
        shape: tuple[int, ...] = getattr(first, "shape", ())
        if len(shape) in (3, 4):
            return int(shape[-1]), int(shape[-2])
    return None


def _numbers(value: Any) -> list[float]:
    return [float(each) for each in value] if isinstance(value, list | tuple) else [float(value)]
