"""A tree of folders and the images in them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widgets import DirectoryTree

from looptop.engine.text import visible
from looptop.engine.vqa.images import is_image_name
from looptop.tui.actions import bindings

MOST = 1000
"""Entries shown of one folder; a filter finds the others."""


class FileTree(DirectoryTree):
    """Folders, and files whose names are images'."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("tree")]
    DEFAULT_CSS = """
    FileTree {
        background: transparent;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 0;
        padding: 0;

        & > .tree--cursor {
            background: $panel;
            text-style: none;
        }

        &:focus > .tree--cursor {
            background: $primary 30%;
            color: $foreground;
        }
    }
    """
    ICON_NODE = "▸ "
    ICON_NODE_EXPANDED = "▾ "
    ICON_FILE = "  "

    def __init__(self, root: Path) -> None:
        super().__init__(root, id="files")
        self._words: list[str] = []
        self.guide_depth = 2

    def filter(self, words: str) -> None:
        """Leaves only images in whose names all words occur."""
        wanted = words.lower().split()
        if wanted != self._words:
            self._words = wanted
            self.reload()

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Folders and images, hidden ones left out."""
        shown = 0
        for path in paths:
            name = path.name
            if name.startswith("."):
                continue
            wanted = is_image_name(name) and all(word in name.lower() for word in self._words)
            keep = wanted or os.path.isdir(path)  # noqa: PTH112 (a listing may hold 80,000 names)
            if keep:
                shown += 1
                yield path
            if shown >= MOST:
                return

    def process_label(self, label: object) -> Text:
        """A file's name, never markup."""
        return Text(visible(label) or " ")

    def action_up_folder(self) -> None:
        """Shows the folder above."""
        self.path = Path(self.path).absolute().parent

    def on_tree_node_highlighted(self, event: DirectoryTree.NodeHighlighted[object]) -> None:
        """An image under the cursor is shown."""
        path = getattr(event.node.data, "path", None)
        if isinstance(path, Path) and is_image_name(path.name):
            from looptop.tui.widgets.image_panel import ImagePanel

            self.post_message(ImagePanel.Moved(path))

    def on_directory_tree_file_selected(self, event: DirectoryTree.FileSelected) -> None:
        """An image is taken."""
        from looptop.tui.widgets.image_panel import ImagePanel

        self.post_message(ImagePanel.Chosen(event.path))
