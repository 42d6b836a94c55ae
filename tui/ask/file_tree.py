"""A tree of folders and images, with a filter."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work as textual_work
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import DirectoryTree
from textual.widgets.directory_tree import DirEntry
from textual.widgets.tree import TreeNode

from looptop.engine.text import visible
from looptop.engine.vqa.images.decode import is_image_name
from looptop.tui.actions import bindings

MOST_LISTED = 1000
"""Entries shown of one folder; a filter finds the others."""

MOST_SEARCHED = 200_000
"""Files and folders that a filter searches at most."""


class FileTree(DirectoryTree):
    """Shows folders, and files whose names are those of images."""

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

    @dataclass
    class Moved(Message):
        """The cursor is on another image."""

        path: Path

    @dataclass
    class Chosen(Message):
        """Enter was pressed on an image."""

        path: Path

    def __init__(self, root: Path) -> None:
        super().__init__(root, id="files")
        self._words: list[str] = []
        self._left_out: dict[Path, str] = {}
        """By folder: how many entries are not shown."""
        self.guide_depth = 2

    def filter(self, words: str) -> None:
        """Shows only images whose names contain all these words, also those in closed folders."""
        wanted = words.lower().split()
        if wanted != self._words:
            self._words = wanted
            self.reload()

    @textual_work(thread=True, exit_on_error=False)
    def _load_directory(self, node: TreeNode[DirEntry]) -> list[Path]:
        """The entries to show below a node, in order. How many are left out is stored for `_populate_node`."""
        assert node.data is not None
        folder, words = node.data.path.expanduser().resolve(), self._words
        if words:
            listed, more, whole = self._search(folder, words)
            left_out = f"{more:,} more" if whole else "more: not all folders were searched"
        else:
            listed, more = _listing(folder)
            left_out = f"{more:,} more, which / finds"
        self._left_out[node.data.path] = left_out if more else ""
        return listed

    def _search(self, folder: Path, words: list[str]) -> tuple[list[Path], int, bool]:
        """Matching images below a folder, how many more match, and whether everything was searched."""
        listed: list[Path] = []
        seen = 0
        for folder_path, folders, names in _walk(folder):
            seen += len(names) + len(folders)
            listed += [
                Path(folder_path, name)
                for name in names
                if is_image_name(name) and name[0] != "." and all(word in name.lower() for word in words)
            ]
            if seen > MOST_SEARCHED or self._words is not words:  # or other words have been typed
                return sorted(listed, key=_by_name)[:MOST_LISTED], 1, False
        return sorted(listed, key=_by_name)[:MOST_LISTED], max(0, len(listed) - MOST_LISTED), True

    def _populate_node(self, node: TreeNode[DirEntry], content: Iterable[Path]) -> None:
        if node.data is None:
            return
        root = node.data.path.expanduser().resolve()
        node.remove_children()
        empty = True
        for path in content:
            empty = False
            above = "" if path.parent == root else f"  in {path.parent.relative_to(root)}"
            is_folder = not self._words and not is_image_name(path.name)
            node.add(f"{path.name}{above}", data=DirEntry(path), allow_expand=is_folder or self._safe_is_dir(path))
        if left_out := self._left_out.pop(node.data.path, ""):
            node.add_leaf(f"… and {left_out}")
        elif empty and self._words:
            node.add_leaf("no such image")
        node.expand()

    def process_label(self, label: object) -> Text:
        """The label of a file: its name, never taken as markup."""
        return Text(visible(label) or " ")

    def action_up_folder(self) -> None:
        """Shows the folder above."""
        self.path = Path(self.path).absolute().parent

    def on_tree_node_highlighted(self, event: DirectoryTree.NodeHighlighted[object]) -> None:
        """Posts that the cursor is on an image."""
        path = getattr(event.node.data, "path", None)
        if isinstance(path, Path) and is_image_name(path.name):
            self.post_message(self.Moved(path))

    def on_directory_tree_file_selected(self, event: DirectoryTree.FileSelected) -> None:
        """Posts that an image was chosen."""
        self.post_message(self.Chosen(event.path))


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Like `os.walk`, but skips hidden folders and follows links. Each folder comes once, by a path without links if
    there is one.
    """
    walked: set[tuple[int, int]] = set()
    roots = deque([folder])
    while roots:
        for folder_path, folders, names in os.walk(roots.popleft()):
            shown = sorted(name for name in folders if not name.startswith("."))
            links = [name for name in shown if Path(folder_path, name).is_symlink()]
            folders[:] = sorted({*shown}.difference(links))
            try:
                status = Path(folder_path).stat()
            except OSError:  # It has been deleted.
                continue
            if (status.st_dev, status.st_ino) in walked:
                folders.clear()
                continue
            walked.add((status.st_dev, status.st_ino))
            roots.extend(Path(folder_path, name) for name in links)
            yield folder_path, shown, names


def _listing(folder: Path) -> tuple[list[Path], int]:
    """The folders and images in a folder, in order and without hidden ones, and how many more there are."""
    listed: list[tuple[bool, str, str]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                is_folder = _is_folder(entry)
                if is_folder or is_image_name(entry.name):
                    listed.append((not is_folder, entry.name.lower(), entry.name))
    except OSError:
        return [], 0
    listed.sort()
    return [folder / name for *_, name in listed[:MOST_LISTED]], max(0, len(listed) - MOST_LISTED)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _by_name(path: Path) -> tuple[str, str]:
    return path.name.lower(), str(path)
