"""A tree of folders and images: which folders are open, and what each holds as far as it was read."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from looptop.engine.text import counted
from looptop.tui.ask.sources.rows import FolderRow, ImageRow, Row

if TYPE_CHECKING:
    from looptop.engine.vqa.images.folders import Listing


class Node:
    """A folder of the tree."""

    def __init__(self, path: Path, depth: int) -> None:
        self.path, self.depth = path, depth
        self.is_open = False
        self.is_whole = False
        """Whether all of it was read."""
        self.folders: list[Node] = []
        self.images: list[str] = []
        self.problem = ""

    def fill(self, listing: Listing, *, whole: bool) -> None:
        """Takes over what was read; folders that are open stay open."""
        known = {node.path.name: node for node in self.folders}
        self.folders = [known.get(name) or Node(self.path / name, self.depth + 1) for name in listing.folders]
        self.images, self.problem, self.is_whole = listing.images, listing.problem, whole

    @property
    def note(self) -> str:
        """What it holds, or why it cannot be read; empty before it is opened."""
        if self.problem:
            return self.problem
        if not self.is_open and not self.is_whole:
            return ""
        counts = [counted(len(self.images), "image"), *([counted(len(self.folders), "folder")] if self.folders else [])]
        return ", ".join(counts) if self.is_whole else f"reading… {counts[0]}"


class _Run(NamedTuple):
    """Rows that follow one another: a folder, or all images of one."""

    node: Node
    is_folder: bool


class FolderTree:
    """The rows of a tree: in each open folder its folders first, then its images.

    Args:
        root: The folder whose content is shown.
    """

    def __init__(self, root: Path) -> None:
        self.root = Node(root, -1)
        self.root.is_open = True
        self.nodes: dict[Path, Node] = {}
        """The folders that have a row, and the root."""
        self._runs: list[_Run] = []
        self._starts: list[int] = []
        self._length = 0
        self._first_image: dict[Path, int] = {}
        self.arrange()

    def arrange(self) -> None:
        """Numbers the rows again, after a folder was opened, closed or read."""
        self._runs, self._starts, self._first_image, length = [], [], {}, 0
        self.nodes = {}
        waiting = [_Run(self.root, True)]
        while waiting:
            run = waiting.pop()
            node = run.node
            if not run.is_folder:
                if node.images:
                    self._first_image[node.path] = length
                    self._runs.append(run)
                    self._starts.append(length)
                    length += len(node.images)
                continue
            self.nodes[node.path] = node
            if node is not self.root:
                self._runs.append(run)
                self._starts.append(length)
                length += 1
            if node.is_open:
                waiting.append(_Run(node, False))
                waiting += [_Run(folder, True) for folder in reversed(node.folders)]
        self._length = length

    @property
    def images(self) -> int:
        """The number of images in open folders."""
        return sum(len(self.nodes[path].images) for path in self._first_image)

    def __len__(self) -> int:
        return self._length

    def row(self, index: int) -> Row:
        """One row."""
        position = bisect_right(self._starts, index) - 1
        node, is_folder = self._runs[position]
        if is_folder:
            return FolderRow(node.path, node.note, node.depth, node.is_open)
        return ImageRow(node.path / node.images[index - self._starts[position]], "", node.depth + 1)

    def index_of(self, path: Path) -> int | None:
        """The row of an image or a folder."""
        from looptop.engine.vqa.images.folders import natural_key

        first = self._first_image.get(path.parent)
        if first is not None:
            images = self.nodes[path.parent].images
            position = bisect_left(images, natural_key(path.name), key=natural_key)
            if position < len(images) and images[position] == path.name:
                return first + position
        node = self.nodes.get(path)
        return next((start for start, run in zip(self._starts, self._runs, strict=True) if run == (node, True)), None)

    def index_of_prefix(self, prefix: str) -> int | None:
        """The first row whose name begins with a text in lower case."""
        for start, (node, is_folder) in zip(self._starts, self._runs, strict=True):
            names = [node.path.name] if is_folder else node.images
            for position, name in enumerate(names):
                if name.lower().startswith(prefix):
                    return start + position
        return None
