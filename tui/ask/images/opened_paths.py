"""Opens paths that were typed, pasted or dropped: an image, a folder, or several images as a list.

Whether a path exists is asked in a thread: a network drive may not answer for minutes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from looptop.engine.text import counted, visible
from looptop.tui.ask.images.panel import ImagePanel
from looptop.tui.background import in_thread
from looptop.tui.text import pasted_line

Result = TypeVar("Result")

MAX_NAMED = 3
"""The most paths that are named when they are not opened."""

SHOWN_AFTER_SECONDS = 1.0
"""After how many seconds a notice says that paths are still being read."""


class OpenedPaths(NamedTuple):
    """Paths by what they are; all are absolute."""

    images: list[Path]
    folders: list[Path]
    all: list[Path]
    """These and those that do not exist, in their order; at least one."""

    @property
    def shown(self) -> Path:
        """The image or folder that is shown, even if it does not exist."""
        return [*self.images, *self.folders, *self.all][0]

    @property
    def image(self) -> Path | None:
        """The image that is shown; None if it is a folder."""
        return None if self.shown in self.folders else self.shown


async def open_paths(
    panel: ImagePanel, find: Callable[[], Sequence[Path]], text: str, show_notice: Callable[[str, str], object]
) -> OpenedPaths | None:
    """Makes paths the list: one image selected in its folder, a folder, or several images.

    Args:
        panel: The panel with the list.
        find: Returns the paths, which may not exist; called in a thread.
        text: The paths as text.
        show_notice: Shows a sentence, with its severity.

    Returns:
        The paths; None if there are none.
    """

    def read() -> OpenedPaths | None:
        paths = [path.absolute() for path in find()]
        # Path's own methods raise an error for a folder that may not be entered.
        images = [path for path in paths if os.path.isfile(path)]  # noqa: PTH113
        folders = [path for path in paths if os.path.isdir(path)]  # noqa: PTH112
        return OpenedPaths(images, folders, paths) if paths else None

    opened = await read_with_notice(read, lambda: show_notice(f"reading {pasted_line(text)[:200]} …", "information"))
    if opened is not None:
        _show(panel, opened)
        known = {opened.shown, *opened.images}
        if left_out := [visible(path.name) for path in opened.all if path not in known]:
            more = f" and {len(left_out) - MAX_NAMED:,} more" if len(left_out) > MAX_NAMED else ""
            show_notice(f"not opened: {', '.join(left_out[:MAX_NAMED])}{more}", "warning")
    return opened


async def read_with_notice(read: Callable[[], Result], tell: Callable[[], object]) -> Result:
    """What a slow call in a thread returns; `tell` is called if it takes longer than a second."""
    reading = in_thread(read)
    done, _ = await asyncio.wait([reading], timeout=SHOWN_AFTER_SECONDS)
    if not done:
        tell()
    return await reading


def _show(panel: ImagePanel, opened: OpenedPaths) -> None:
    from looptop.engine.vqa.images.entries import ImageEntry

    if len(opened.images) > 1:
        panel.show_entries(counted(len(opened.images), "opened image"), [ImageEntry(path) for path in opened.images])
    elif opened.images:
        panel.select(opened.shown)
    elif opened.folders:
        panel.show_folder(opened.shown)
