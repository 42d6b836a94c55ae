"""Opens paths that were typed, pasted or dropped: an image, a folder, or several images as a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from looptop.engine.text import visible
from looptop.tui.ask.image_panel import ImagePanel

MAX_NAMED = 3
"""The most paths that are named when they are not opened."""


def open_paths(panel: ImagePanel, paths: Sequence[Path], warn: Callable[[str], None]) -> Path | None:
    """Makes paths the list: one image selected in its folder, a folder, or several images.

    Args:
        panel: The panel with the list.
        paths: The paths, at least one; they may not exist.
        warn: Shows a sentence.

    Returns:
        The image to show, even if it does not exist; None if a folder was opened.
    """
    from looptop.engine.vqa.image_sources import ImageEntry

    paths = [path.absolute() for path in paths]
    images = [path for path in paths if path.is_file()]
    folders = [path for path in paths if path.is_dir()]
    if len(images) > 1:
        panel.show_entries(f"{len(images)} opened images", [ImageEntry(path) for path in images])
        shown = images[0]
    elif images:
        panel.select(images[0])
        shown = images[0]
    elif folders:
        panel.show_folder(folders[0])
        shown = folders[0]
    else:
        shown = paths[0]
    opened = {shown, *images}
    if left_out := [visible(path.name) for path in paths if path not in opened]:
        more = f" and {len(left_out) - MAX_NAMED:,} more" if len(left_out) > MAX_NAMED else ""
        warn(f"not opened: {', '.join(left_out[:MAX_NAMED])}{more}")
    return None if shown in folders else shown
