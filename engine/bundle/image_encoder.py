"""Builds `image_encoder`: a small ViT that learns shape and color from generated images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import ViTConfig, ViTModel
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from looptop.engine.bundle.shared import HEADS, INITIALIZER_RANGE, SEED, WIDTH, fraction_true, save, train, write_card
from looptop.engine.worlds import shapes

PATCH = 8
STEPS, BATCH, RATE = 1000, 128, 1.5e-3


def build(folder: Path) -> None:
    """Trains a ViT on generated images and saves it with its image processor and card."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    model = ViTModel(
        ViTConfig(
            hidden_size=WIDTH,
            num_hidden_layers=3,
            num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH,
            image_size=shapes.IMAGE_SIZE,
            patch_size=PATCH,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            initializer_range=INITIALIZER_RANGE,
        )
    )
    model.set_attn_implementation("eager")  # the only implementation that returns attention weights
    # The mean of all states and the class token's state must each contain shape and color, and each patch's state
    # whether the shape is on it, so that both `mean` and `tokens` fusion work. The class token learns to attend to the
    # shape.
    heads = nn.ModuleDict(
        {
            "mean_shape": nn.Linear(WIDTH, len(shapes.SHAPES)),
            "mean_color": nn.Linear(WIDTH, len(shapes.COLORS)),
            "cls_token_shape": nn.Linear(WIDTH, len(shapes.SHAPES)),
            "cls_token_color": nn.Linear(WIDTH, len(shapes.COLORS)),
            "patch_covered": nn.Linear(WIDTH, 1),
        }
    )

    def head_outputs(pixels: Tensor) -> dict[str, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            out = model(pixels, output_attentions=True)
        states = out.last_hidden_state.float()
        pooled = {"mean": states.mean(dim=1), "class": states[:, 0], "patch": states[:, 1:]}
        outputs = {name: head(pooled[name.partition("_")[0]]) for name, head in heads.items()}
        # The class token's attention to the patches in the last layer, averaged over heads.
        attention = out.attentions[-1][:, :, 0, 1:].float().mean(dim=1)
        return outputs | {"attention": attention / attention.sum(dim=1, keepdim=True)}

    def loss() -> Tensor:
        pixels, shape, color, covered = _images(BATCH, rng)
        outputs = head_outputs(pixels)
        return (
            F.cross_entropy(outputs["mean_shape"], shape)
            + F.cross_entropy(outputs["mean_color"], color)
            + F.cross_entropy(outputs["cls_token_shape"], shape)
            + F.cross_entropy(outputs["cls_token_color"], color)
            + F.binary_cross_entropy_with_logits(outputs["patch_covered"].squeeze(-1), covered)
            - (outputs["attention"] * covered).sum(dim=1).log().mean()
        )

    train("image_encoder", [model, heads], loss, STEPS, RATE)
    with torch.no_grad():
        pixels, shape, color, covered = _images(2000, rng)
        outputs = head_outputs(pixels)
        right = {
            name: fraction_true(outputs[name].argmax(-1) == (shape if name.endswith("shape") else color))
            for name in list(heads)[:4]
        }
        on_shape = covered > 0.5
        patches = fraction_true((outputs["patch_covered"].squeeze(-1) > 0) == on_shape)
        strongest = fraction_true(on_shape.gather(1, outputs["attention"].argmax(dim=1, keepdim=True)))
        attention = float((outputs["attention"] * on_shape).sum(dim=1).mean())
        area = fraction_true(on_shape)
    save(model, folder)
    size = {"height": shapes.IMAGE_SIZE, "width": shapes.IMAGE_SIZE}
    ViTImageProcessorPil(size=size).save_pretrained(folder)
    write_card(
        folder,
        "A small ViT that sees shapes and colors",
        f"""A `ViTModel` of width {WIDTH}, 3 layers, {HEADS} heads, patches of {PATCH} on images of 64x64 pixels.

## How and on what
{STEPS * BATCH:,} images drawn by `looptop.engine.worlds.shapes`, each seen once ({STEPS} steps of
{BATCH}): one circle, rectangle or triangle in one of eight colors on a light ground. Linear heads, thrown away
afterwards, read shape and color from the mean of all last states and from the class token's, and from each patch
whether the shape is on it; and a further part of the loss pulls the class token's attention in the last layer to the
patches with the shape.
It has seen no question, no answer, and no image of the benchmark.

## How good
On 2,000 further generated images, read by those heads: shape {right["mean_shape"]:.2%} and color
{right["mean_color"]:.2%} from the mean, shape {right["cls_token_shape"]:.2%} and color
{right["cls_token_color"]:.2%} from the class token; {patches:.2%} of the patches are correctly classified as on or off
the shape. The class token's attention in the last layer, its heads averaged, is strongest on the shape in
{strongest:.2%} of the images, and {attention:.0%} of what goes to patches goes to the {area:.0%} of them that the shape
is on.

## What it cannot do
It knows one flat shape on a plain light ground, these three shapes and these eight colors. A photograph, a drawing of
two things, or another color gives states that mean nothing.""",
    )


def _images(count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Generated images `[count, 3, 64, 64]` as the image processor makes them, from -1 to 1, and what they show.

    Also returned: shape `[count]`, color `[count]`, and for each patch, in the ViT's order, the largest share of
    one of its pixels that the shape covers, `[count, patches]`.
    """
    scenes = [shapes.make_scene(rng) for _ in range(count)]
    pixels = torch.from_numpy(np.stack([shapes.draw(scene) for scene in scenes])).permute(0, 3, 1, 2)
    side = shapes.IMAGE_SIZE // PATCH
    cover = torch.from_numpy(np.stack([shapes.coverage(scene) for scene in scenes])).float()
    return (
        pixels.float() / 127.5 - 1,
        torch.tensor([shapes.SHAPES.index(scene.shape) for scene in scenes]),
        torch.tensor([shapes.COLORS.index(scene.color) for scene in scenes]),
        cover.reshape(count, side, PATCH, side, PATCH).amax(dim=(2, 4)).flatten(1),
    )
