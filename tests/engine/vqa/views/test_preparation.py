"""What an image processor did to an image, in steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from looptop.engine.vqa.views.preparation import preparation_steps, prepared_grey, rgb_pixels
from looptop.engine.vqa.views.records import Cropped, Normalised, OwnStep, Padded, Rescaled, Resized

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8))
HALF = Normalised([0.5] * 3, [0.5] * 3)
TO_ONE = Rescaled(1 / 255)


class OwnCode(ViTImageProcessorPil):
    """Halves the image in a way of its own."""

    def _preprocess(self, images: Any, *args: Any, **options: Any) -> Any:
        return super()._preprocess([image[:, ::2, ::2] for image in images], *args, **options)


@pytest.mark.parametrize(
    ("processor", "steps"),
    [
        (
            ViTImageProcessorPil(size={"height": 224, "width": 200}, resample=3),
            [Resized((640, 480), (200, 224), "bicubic"), TO_ONE, HALF],
        ),
        (
            CLIPImageProcessorPil(size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}),
            [
                Resized((640, 480), (298, 224), "bicubic"),
                Cropped((298, 224), (224, 224)),
                TO_ONE,
                Normalised([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]),
            ],
        ),
        (  # its `resize` scales and crops
            ConvNextImageProcessorPil(size={"shortest_edge": 224}, crop_pct=0.875, do_normalize=False),
            [Resized((640, 480), (341, 256), "bicubic"), Cropped((341, 256), (224, 224)), TO_ONE],
        ),
        (
            SiglipImageProcessorPil(size={"height": 96, "width": 96}, resample=0, do_rescale=False, do_normalize=False),
            [Resized((640, 480), (96, 96), "nearest")],
        ),
        (
            ViTImageProcessorPil(do_resize=False, do_pad=True, pad_size={"height": 640, "width": 640}),
            [TO_ONE, HALF, Padded((640, 480), (640, 640))],
        ),
        (OwnCode(do_resize=False), [TO_ONE, HALF, OwnStep("OwnCode", (640, 480), (320, 240))]),
        (ViTImageProcessorPil(size={"height": 480, "width": 640}), [TO_ONE, HALF]),
    ],
)
def test_the_steps_are_those_that_were_taken(processor: Any, steps: list[Any]) -> None:
    before = dict(vars(processor))
    assert preparation_steps(processor, PHOTO) == steps
    assert vars(processor) == before, "the processor itself is not changed"


def test_the_pixels_are_the_image_as_it_was_resized() -> None:
    processor = ViTImageProcessorPil(size={"height": 48, "width": 64}, resample=2)
    pixel_values = processor([PHOTO], return_tensors="pt")["pixel_values"][0]
    resized = np.asarray(PHOTO.resize((64, 48), Image.Resampling.BILINEAR))
    assert rgb_pixels(processor, pixel_values) == resized.tobytes()


@pytest.mark.parametrize("changes", [{}, {"do_normalize": False}, {"do_rescale": False, "do_normalize": False}])
def test_grey_is_prepared_as_a_grey_image_is(changes: dict[str, Any]) -> None:
    processor = CLIPImageProcessorPil(**changes)
    grey = processor([Image.new("RGB", (300, 300), (128,) * 3)], return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(prepared_grey(processor).expand(3, 1, 1).float(), grey[:, :1, :1].float())


def test_pixels_that_were_not_normalised_are_brought_back_too() -> None:
    plain = type("P", (), {"do_normalize": False, "do_rescale": True, "rescale_factor": 1 / 255})
    assert rgb_pixels(plain, torch.full((3, 1, 2), 100 / 255)) == bytes([100] * 6)
    raw = type("P", (), {"do_normalize": False, "do_rescale": False})
    assert rgb_pixels(raw, torch.tensor([[[300.0]], [[-4.0]], [[7.0]]])) == bytes([255, 0, 7])
