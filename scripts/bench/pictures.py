"""Pictures on the Ask screen: how long views take, how soon a huge image can be moved, what an image costs.

The photo is 9,000 by 9,000 pixels of gradients and noise, as JPEG and as PNG. The large model has an image
encoder of the book's size and random weights: a ViT of 12 layers with 196 patches.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoConfig, ViTConfig

from looptop.engine.helpers.answers import AnswerProcess, AskReply, AskRequest
from looptop.engine.vqa.model.configuration import VqaConfig
from looptop.engine.vqa.model.processing import VqaProcessor
from looptop.engine.vqa.model.vqa_model import VqaModel
from looptop.engine.vqa.views.records import ViewKind
from looptop.tui.ask.picture.large_view import opened
from looptop.tui.terminal.graphics import LOCAL_BYTES, REMOTE_BYTES, Graphics, Protocol
from looptop.tui.terminal.graphics_encoding import encode
from looptop.tui.widgets.picture import half_block_lines
from looptop.tui.widgets.picture_pyramid import Pyramid
from looptop.tui.widgets.picture_viewport import Viewport
from scripts.bench.keys import spread

SIDE = 9000
COLUMNS, ROWS = 200, 58
CELL = (10, 20)
MOVES = 60
REPEATS = 5


def main() -> None:
    """Measures views, and then the drawing of a huge image."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        views(folder, {"bundled": "the bundled model", str(large_model(folder)): "a ViT of 12 layers"})
        huge_image(folder)


def seconds_of(call: Callable[[], object]) -> float:
    """How long a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def views(folder: Path, models: dict[str, str]) -> None:
    """The time of each view of some models, from the answering process."""
    path = folder / "image.png"
    Image.linear_gradient("L").resize((640, 480)).convert("RGB").save(path)
    process = AnswerProcess()
    process.start()

    def ask(model: str, view: ViewKind) -> AskReply:
        request = AskRequest(id=1, model=model, image=str(path), question="what shape is in the image?", view=view)
        process.ask(request)
        while not (reply := process.read()).done:
            pass
        return reply

    for model, name in models.items():
        ask(model, "image")
        once = statistics.median(seconds_of(partial(ask, model, "image")) for _ in range(REPEATS))
        whole = seconds_of(partial(ask, model, "occlusion"))
        print(f"{name}: before and after, attention {once:.2f} s; occlusion map {whole:.1f} s", flush=True)
    process.close()


def large_model(folder: Path) -> Path:
    """A model with an image encoder of the book's size, and random weights."""
    from tests.factories.vqa import save, save_processors

    parts = save_processors(folder / "parts", image_size=224)
    text, decoder = AutoConfig.from_pretrained(parts[0]), AutoConfig.from_pretrained(parts[2])
    decoder.add_cross_attention = True
    torch.manual_seed(0)
    model = VqaModel(VqaConfig(text, ViTConfig(), decoder))
    return save(model, VqaProcessor.from_parts(*parts), folder / "model")


def huge_image(folder: Path) -> None:
    """The times to open a huge image, to draw a part of it, and to encode it, and its size when it is sent."""
    photo = Image.merge("RGB", [Image.radial_gradient("L").resize((SIDE, SIDE)).rotate(90 * turn) for turn in range(3)])
    photo = Image.blend(photo, Image.effect_noise((SIDE, SIDE), 40).convert("RGB"), 0.3)
    paths = folder / "huge.jpg", folder / "huge.png"
    photo.save(paths[0], quality=90)
    photo.save(paths[1], compress_level=1)
    for path in paths:
        print(f"{SIDE}x{SIDE} {path.suffix[1:]} opened in {seconds_of(partial(opened, path)):.2f} s", flush=True)
    whole, _ = opened(paths[0])
    moves = [seconds_of(partial(draw, whole, viewport)) for viewport in path_over(whole)]
    print(f"a part of it in half blocks, {COLUMNS}x{ROWS} cells: {spread(moves)}")
    for protocol in Protocol:
        for most in (LOCAL_BYTES, REMOTE_BYTES):
            graphics = Graphics(protocol, CELL, most)
            begin = time.perf_counter()
            graphic = encode(graphics, partial(whole.part, (0, 0, SIDE, SIDE)), 2 * ROWS, ROWS)
            took = time.perf_counter() - begin
            size = "not sent" if graphic is None else f"{len(graphic.draw) / 1000:,.0f} KB"
            print(f"{protocol.value}, at most {most / 1000:,.0f} KB: {size}, encoded in {took:.2f} s")


def path_over(whole: Pyramid) -> list[Viewport]:
    """Viewports as keys make them: zooming in, then out; each third key moves to the right and down."""
    room, viewport, viewports = (float(COLUMNS), 2.0 * ROWS), Viewport(), list[Viewport]()
    for move in range(MOVES):
        if move % 3 == 1:
            viewport = viewport.moved(50, 20, whole.size, room)
        else:
            viewport = viewport.zoomed(1.5 if move < MOVES / 2 else 1 / 1.5, whole.size, room)
        viewports.append(viewport)
    return viewports


def draw(whole: Pyramid, viewport: Viewport) -> None:
    """Draws a part in half blocks."""
    visible = viewport.visible(whole.size, (COLUMNS, 2 * ROWS))
    columns, rows = max(1, round(visible.width)), max(1, round(visible.height / 2))
    half_block_lines(whole.part(visible.box, (columns, 2 * rows)))


if __name__ == "__main__":
    main()
