"""Lists of images with questions about them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from looptop.engine.vqa.images.entries import AskedQuestion, ImageEntry

COLOURS = ("red", "green", "blue", "red", "teal")


def image_list(folder: Path) -> list[ImageEntry]:
    """Five images named after their colours, each with two questions, and a damaged one."""
    entries = []
    for number, colour in enumerate(COLOURS):
        path = folder / f"{number}-{colour}.png"
        Image.new("RGB", (8, 8), colour).save(path)
        entries.append(
            ImageEntry(
                path,
                questions=(
                    AskedQuestion("what colour?", (colour if number else "pink",)),
                    AskedQuestion("why?", ("no",)),
                ),
            )
        )
    (folder / "5-bad.png").write_bytes(b"bad")
    return [*entries, ImageEntry(folder / "5-bad.png")]
